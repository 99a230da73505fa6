"""The embedded model server and its client; neither loads TensorFlow on import."""

from tfmm.serving.client import Client, Ranked, Ranking, ServerError
from tfmm.serving.client_errors import (
    DeadlineExceeded,
    InvalidArgument,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from tfmm.serving.config import ModelConfig, find_models, parse_model_config
from tfmm.serving.server import Server, serve

__all__ = [
    "Client",
    "DeadlineExceeded",
    "InvalidArgument",
    "ModelConfig",
    "NotFound",
    "Ranked",
    "Ranking",
    "ResourceExhausted",
    "Server",
    "ServerError",
    "Unavailable",
    "Unimplemented",
    "find_models",
    "parse_model_config",
    "serve",
]
