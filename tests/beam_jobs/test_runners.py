"""The whole chain of jobs gives the same bytes whoever runs it."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import shop

import beam_jobs
from tfmm.records.manifest import read_manifest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

ROOT = Path(beam_jobs.__file__).parents[1]
JOB_SERVICE = "apache_beam.runners.portability.local_job_service_main"
WORKER_POOL = "apache_beam.runners.worker.worker_pool_main"


def _free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


def _answers(port):
    with socket.socket() as client:
        client.settimeout(1)
        return client.connect_ex(("localhost", port)) == 0


@pytest.fixture
def serve(tmp_path):
    """Starts `python -m MODULE FLAG=PORT` in a folder of its own; gives the port.

    `python` on its PATH is the one that runs the tests: the worker pool starts its
    workers by that name, and a client waits for ever for one that lacks Beam.
    """
    started = []

    def start(module, flag):
        port, cwd = _free_port(), tmp_path / module.rpartition(".")[2]
        cwd.mkdir()
        with open(cwd / "log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, f"{flag}={port}"],
                cwd=cwd,
                env={
                    **os.environ,
                    "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                    "PYTHONPATH": str(ROOT),
                },
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        started.append(process)
        deadline = time.monotonic() + 60
        while not _answers(port):
            assert process.poll() is None, (cwd / "log").read_text()
            assert time.monotonic() < deadline, f"{module} does not answer"
            time.sleep(0.1)
        return port

    yield start
    for process in started:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _written(out):
    """Per output folder, the checksums of its files and its counts."""
    found = {}
    for path in sorted(out.rglob("manifest.json")):
        manifest = read_manifest(path.parent, verify=True)
        assert manifest["files"], path
        found[str(path.parent.relative_to(out))] = manifest["files"], manifest["counts"]
    return found


def test_multi_processing(simulated, tmp_path):
    schema, expected, _ = simulated
    flags = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    shop.build(schema, tmp_path / "out", flags)
    assert _written(tmp_path / "out") == _written(expected)


def test_job_service_with_an_external_worker(simulated, tmp_path, serve):
    schema, expected, _ = simulated
    flags = [
        "--runner=PortableRunner",
        f"--job_endpoint=localhost:{serve(JOB_SERVICE, '--port')}",
        "--environment_type=EXTERNAL",
        f"--environment_config=localhost:{serve(WORKER_POOL, '--service_port')}",
        "--job_server_timeout=60",
    ]
    shop.build(schema, tmp_path / "out", flags)
    assert _written(tmp_path / "out") == _written(expected)
    started = (tmp_path / "worker_pool_main" / "log").read_text()
    assert started.count("Starting worker with command") >= 5
