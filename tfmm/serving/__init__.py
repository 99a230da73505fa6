"""The embedded model server and its client; neither loads TensorFlow on import."""

from tfmm.serving.client import Client, Ranked, Ranking, ServerError
from tfmm.serving.config import ModelConfig, find_models, parse_model_config
from tfmm.serving.server import Server, serve

__all__ = [
    "Client",
    "ModelConfig",
    "Ranked",
    "Ranking",
    "Server",
    "ServerError",
    "find_models",
    "parse_model_config",
    "serve",
]
