"""The real server's configuration, read back by its own messages."""

import re
import subprocess
from pathlib import Path

import pytest
import yaml
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_format,
    wrappers_pb2,
)
from tensorflow_serving.config import model_server_config_pb2

from tfmm.errors import TfmmError
from tfmm.export.publish import rollback
from tfmm.export.serving_files import (
    read_labels,
    renew_serving_files,
    write_serving_files,
)

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


def test_a_rollback_renews_what_a_labelled_model_is_served_by(base):
    assert renew_serving_files(base) is None and not (base / "serving").exists()
    (base / "ranker" / "8").mkdir()
    write_serving_files(base, {"ranker": {"stable": 3, "canary": 8}})
    rollback(base / "ranker")
    config = models(renew_serving_files(base))["ranker"]
    assert dict(config.version_labels) == {"stable": 3}
    assert list(config.model_version_policy.specific.versions) == [3, 7]


def test_labels_of_what_does_not_stand_are_refused(base):
    with pytest.raises(TfmmError, match="no version 4 of 'ranker'"):
        write_serving_files(base, {"ranker": {"stable": 4}})
    with pytest.raises(TfmmError, match="MODEL/LABEL=VERSION"):
        read_labels(["ranker=4"])


def message(name, **fields):
    """A message that tensorflow-serving-api does not ship: its fields in order."""
    file = descriptor_pb2.FileDescriptorProto(name=name, package="test")
    file.dependency.append("google/protobuf/wrappers.proto")
    found = file.message_type.add(name=name)
    for number, (field, kind) in enumerate(fields.items(), 1):
        one = found.field.add(name=field, number=number, label=1)
        if kind == "Int64Value":
            one.type, one.type_name = 11, ".google.protobuf.Int64Value"
        else:
            one.type = {"bool": 8, "string": 9}[kind]
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"test.{name}"))()


def test_metrics_are_on(base):
    text = (write_serving_files(base) / "monitoring.config").read_text()
    (inner,) = re.findall(r"^prometheus_config {(.*)}$", text.strip())
    config = message("PrometheusConfig", enable="bool", path="string")
    text_format.Parse(inner, config)
    assert config.enable and config.path == "/monitoring/prometheus/metrics"


def test_batching_pads_what_is_of_several_widths(base):
    text = (write_serving_files(base) / "batching_parameters.txt").read_text()
    names = ("max_batch_size", "batch_timeout_micros", "max_enqueued_batches")
    numbers = dict.fromkeys((*names, "num_batch_threads"), "Int64Value")
    config = message("BatchingParameters", **numbers, pad_variable_length_inputs="bool")
    text_format.Parse(text, config)
    assert config.pad_variable_length_inputs
    assert all(getattr(config, name).value > 0 for name in numbers)


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
    assert len({flag.split("=")[0] for flag in flags}) == len(flags)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_compose_files(kind, base):
    start = (write_serving_files(base) / "start.sh").read_text()
    found = yaml.safe_load((DEPLOY / f"compose.{kind}.yaml").read_text())
    service = found["services"]["serving"]
    assert service["image"].startswith("tensorflow/serving:2.20.0")
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["volumes"][0].endswith(":/models:ro")
    assert service["entrypoint"][-1] == "/models/serving/start.sh"
    names = {n for n in service["environment"] if not n.startswith("TF_")}
    assert names == {"REST_TIMEOUT_MS", *["GPU_MEMORY_FRACTION"] * (kind == "gpu")}
    assert all(f"${{{name}:-" in start for name in names)
    assert service["restart"] == "unless-stopped" and service["healthcheck"]["test"]
    assert ("devices" in str(service)) == (kind == "gpu")
