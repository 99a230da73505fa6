"""The real server's configuration, read back by its own messages."""

import subprocess
from pathlib import Path

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tfmm.errors import TfmmError
from tfmm.export.serving_files import read_labels, write_serving_files

DEPLOY = Path(__file__).parents[2] / "deploy" / "serving"


@pytest.fixture
def base(tmp_path):
    for name in ("ranker/3", "ranker/7", "item_encoder/1", "drafts/x"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def models(folder):
    text = (folder / "models.config").read_text()
    found = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    return {config.name: config for config in found.model_config_list.config}


def test_every_model_is_served_from_where_it_is_mounted(base):
    found = models(write_serving_files(base))
    assert {name: config.base_path for name, config in found.items()} == {
        "ranker": "/models/ranker",
        "item_encoder": "/models/item_encoder",
    }
    assert found["ranker"].model_platform == "tensorflow"
    assert not found["ranker"].version_labels


def test_labelled_versions_stay_loaded(base):
    labels = {"ranker": {"stable": 3, "canary": 7}}
    config = models(write_serving_files(base, labels))["ranker"]
    assert dict(config.version_labels) == {"stable": 3, "canary": 7}
    assert list(config.model_version_policy.specific.versions) == [3, 7]


def test_labels_outlive_the_next_export(base):
    write_serving_files(base, {"ranker": {"stable": 3, "canary": 7}})
    (base / "ranker" / "8").mkdir()
    (base / "ranker" / "7").rename(base / "ranker" / "withdrawn-7")
    config = models(write_serving_files(base))["ranker"]
    assert dict(config.version_labels) == {"stable": 3}
    assert list(config.model_version_policy.specific.versions) == [3, 8]


def test_labels_of_what_does_not_stand_are_refused(base):
    with pytest.raises(TfmmError, match="no version 4 of 'ranker'"):
        write_serving_files(base, {"ranker": {"stable": 4}})
    with pytest.raises(TfmmError, match="MODEL/LABEL=VERSION"):
        read_labels(["ranker=4"])


def test_metrics_are_on(base):
    # tensorflow-serving-api does not ship this message.
    text = (write_serving_files(base) / "monitoring.config").read_text()
    path = '"/monitoring/prometheus/metrics"'
    assert text == f"prometheus_config {{ enable: true path: {path} }}\n"


def test_the_start_script_passes_all_flags_on(base, tmp_path):
    folder = write_serving_files(base)
    server = tmp_path / "bin" / "tensorflow_model_server"
    server.parent.mkdir()
    server.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    server.chmod(0o755)
    environment = {"PATH": f"{server.parent}:/usr/bin:/bin", "REST_TIMEOUT_MS": "50"}
    command = [folder / "start.sh", "--enable_batching"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    flags = done.stdout.splitlines()
    assert done.returncode == 0 and flags[-1] == "--enable_batching"
    assert f"--model_config_file={folder}/models.config" in flags
    assert "--rest_api_timeout_in_ms=50" in flags
    assert "--max_num_load_retries=0" in flags


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_compose_files(kind):
    found = yaml.safe_load((DEPLOY / f"compose.{kind}.yaml").read_text())
    service = found["services"]["serving"]
    assert service["image"].startswith("tensorflow/serving:2.20.0")
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["volumes"][0].endswith(":/models:ro")
    assert service["entrypoint"][-1] == "/models/serving/start.sh"
    assert ("devices" in str(service)) == (kind == "gpu")
