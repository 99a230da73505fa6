"""Configuration of the real TensorFlow Serving for a folder of models."""

import os
import re
import uuid
from collections.abc import Iterable, Mapping
from pathlib import Path

from tfmm.errors import TfmmError
from tfmm.export.publish import versions

FOLDER, MODELS = "serving", "models.config"
ROOT = "/models"

_START = """\
#!/bin/sh
# Starts TensorFlow Serving on the models beside this folder; further flags go through.
# REST_TIMEOUT_MS ends calls that take longer. GPU_MEMORY_FRACTION=0.8 leaves the rest
# of the GPU to others; 0 takes nearly all.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
exec tensorflow_model_server \\
  --port=8500 \\
  --rest_api_port=8501 \\
  --rest_api_timeout_in_ms="${REST_TIMEOUT_MS:-2000}" \\
  --model_config_file="$here/models.config" \\
  --model_config_file_poll_wait_seconds=30 \\
  --allow_version_labels_for_unavailable_models=true \\
  --monitoring_config_file="$here/monitoring.config" \\
  --file_system_poll_wait_seconds=1 \\
  --max_num_load_retries=0 \\
  --num_load_threads=2 \\
  --num_unload_threads=1 \\
  --per_process_gpu_memory_fraction="${GPU_MEMORY_FRACTION:-0}" \\
  "$@"
"""
_MONITORING = """\
prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }
"""
# Off unless start.sh is given --enable_batching: see docs/serving.md.
_BATCHING = """\
max_batch_size { value: 32 }
batch_timeout_micros { value: 1000 }
max_enqueued_batches { value: 64 }
num_batch_threads { value: 4 }
pad_variable_length_inputs: true
"""


def write_serving_files(
    base: str | Path,
    labels: Mapping[str, Mapping[str, int]] | None = None,
    root: str = ROOT,
) -> Path:
    """Writes what TensorFlow Serving is started with, into `base/serving`.

    `models.config` (all models of the folder, with labels), `monitoring.config`,
    `batching_parameters.txt` and `start.sh`. Each is replaced as a whole, so that a
    running server, which looks at `models.config` every 30 seconds, never reads half.

    Args:
        base: The folder of all models, e.g. `saved_models`.
        labels: Model -> label -> version, e.g. `{"ranker": {"canary": 7}}`; those of
            the last time, as far as their versions stand, when absent. A labelled
            model keeps its labelled versions loaded beside the newest.
        root: Where the server finds the folder, as in deploy/serving.

    Raises:
        TfmmError: If a label names a model or version that does not stand.

    Example:
        >>> import tempfile
        >>> base = Path(tempfile.mkdtemp())
        >>> (base / "ranker" / "1").mkdir(parents=True)
        >>> sorted(path.name for path in write_serving_files(base).iterdir())
        ['batching_parameters.txt', 'models.config', 'monitoring.config', 'start.sh']
    """
    base = Path(base)
    models = {path.name: versions(path) for path in sorted(base.iterdir())}
    models = {name: found for name, found in models.items() if found}
    if labels is None:
        labels = _last_labels(base / FOLDER / MODELS, models)
    check_labels(labels, models)
    blocks = [_model(name, root, labels.get(name, {}), models[name]) for name in models]
    files = {
        MODELS: "model_config_list {\n" + "".join(blocks) + "}\n",
        "monitoring.config": _MONITORING,
        "batching_parameters.txt": _BATCHING,
        "start.sh": _START,
    }
    folder = base / FOLDER
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        _replace(folder / name, text)
    os.chmod(folder / "start.sh", 0o755)
    return folder


def renew_serving_files(base: str | Path) -> Path | None:
    """Writes the files again where they are, after versions have come or gone.

    A labelled model is served by a list of versions, which would go on to name one that
    was rolled back and leave out the one before it.

    Args:
        base: The folder of all models.

    Returns:
        The folder of the files; None where there are none.
    """
    is_there = (Path(base) / FOLDER / MODELS).is_file()
    return write_serving_files(base) if is_there else None


def read_labels(texts: Iterable[str]) -> dict[str, dict[str, int]]:
    """Labels as the command line takes them.

    Raises:
        TfmmError: If one is no `MODEL/LABEL=VERSION`.

    Example:
        >>> read_labels(["ranker/canary=7", "ranker/stable=6"])
        {'ranker': {'canary': 7, 'stable': 6}}
    """
    found: dict[str, dict[str, int]] = {}
    for text in texts:
        match = re.fullmatch(r"([^/=]+)/([^/=:]+)=([0-9]+)", text)
        if match is None:
            raise TfmmError(
                f"A label is MODEL/LABEL=VERSION. Received: {text!r}. "
                "Example: ranker/canary=7."
            )
        found.setdefault(match[1], {})[match[2]] = int(match[3])
    return found


def check_labels(
    labels: Mapping[str, Mapping[str, int]], models: Mapping[str, list[int]]
) -> None:
    """Refuses labels of what does not stand.

    Raises:
        TfmmError: If a model or version is missing.
    """
    for model, named in labels.items():
        for label, version in named.items():
            if version not in models.get(model, ()):
                raise TfmmError(
                    f"There is no version {version} of {model!r} to call {label!r}. "
                    f"Expected one of: {dict(models)}. Publish it first."
                )


def _last_labels(
    path: Path, models: Mapping[str, list[int]]
) -> dict[str, dict[str, int]]:
    if not path.is_file():
        return {}
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    found = text_format.Parse(
        path.read_text(encoding="utf-8"), model_server_config_pb2.ModelServerConfig()
    )
    return {
        config.name: {
            label: version
            for label, version in config.version_labels.items()
            if version in models.get(config.name, ())
        }
        for config in found.model_config_list.config
    }


def _model(name: str, root: str, labels: Mapping[str, int], found: list[int]) -> str:
    lines = [
        f"name: {_quoted(name)}",
        f"base_path: {_quoted(f'{root}/{name}')}",
        'model_platform: "tensorflow"',
    ]
    if labels:
        kept = sorted({found[-1], *labels.values()})
        served = " ".join(f"versions: {version}" for version in kept)
        lines.append(f"model_version_policy {{ specific {{ {served} }} }}")
    for label, version in labels.items():
        lines.append(f"version_labels {{ key: {_quoted(label)} value: {version} }}")
    return "  config {\n" + "".join(f"    {line}\n" for line in lines) + "  }\n"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _replace(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}-{uuid.uuid4().hex[:8]}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
