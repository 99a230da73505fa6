"""The embedded model server and its client; neither loads TensorFlow on import."""

from tfmm.serving.client import Client
from tfmm.serving.client_errors import (
    DeadlineExceeded,
    Internal,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    ResourceExhausted,
    ServerError,
    Unavailable,
    Unimplemented,
)
from tfmm.serving.client_ranking import Ranked, Ranking
from tfmm.serving.config import ModelConfig, find_models, parse_model_config
from tfmm.serving.server import Server, serve

__all__ = [
    "Client",
    "DeadlineExceeded",
    "Internal",
    "InvalidArgument",
    "ModelConfig",
    "NotFound",
    "PermissionDenied",
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
