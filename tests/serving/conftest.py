"""A server of the toy ranker, and what it must answer."""

import shutil

import numpy as np
import pytest
from export import exported_ranker
from serving import small_models

from tfmm.serving.server import free_port

toy, exported = exported_ranker.toy, exported_ranker.exported


@pytest.fixture(scope="session")
def base(exported, tmp_path_factory):
    target = tmp_path_factory.mktemp("served")
    shutil.copytree(exported[1], target, dirs_exist_ok=True)
    return target


@pytest.fixture(scope="session")
def server(base):
    arguments = {"rest_api_port": 0, "grpc_port": free_port(), "poll_seconds": 0.1}
    from tfmm.serving import Server

    with Server(base, max_body_bytes=100_000, **arguments) as running:
        yield running


@pytest.fixture(scope="session", params=["rest", "grpc"])
def client(server, request):
    from tfmm.serving import Client

    grpc = f"grpc://127.0.0.1:{server.grpc_port}"
    with Client(server.url if request.param == "rest" else grpc) as found:
        yield found


@pytest.fixture(scope="session")
def expected(toy, exported):
    import tensorflow as tf

    from tfmm.export.border import to_batch

    batch = to_batch(toy.request(), toy.SPEC, toy.index(), toy.VOCABULARIES)
    scores = tf.sigmoid(exported[0](batch)).numpy()
    return np.where([[True] * 3, [True, False, False]], scores, 0)


@pytest.fixture(scope="session")
def small_config(tmp_path_factory):
    """The models.config of the small models."""
    return small_models.write_all(tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def conforming(small_config):
    """A server of the small models."""
    from tfmm.serving import Server
    from tfmm.serving.config_file import ModelConfigFile

    models = ModelConfigFile(small_config)
    with Server(models, rest_api_port=0, grpc_port=free_port()) as running:
        yield running
