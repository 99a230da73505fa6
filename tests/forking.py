"""Runs jobs in processes of their own that need not import Beam anew.

`Forks` starts this file once, which forks for every run: a process group with its own
standard output and error, to be sent a signal at some moment.
"""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Ended:
    """How a run ended: exit code (or minus the signal), peak memory, what it said."""

    code: int
    seconds: float
    peak: int
    out: str
    err: str


class Forks:
    def __init__(self, folder):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        self._server = subprocess.Popen(
            [sys.executable, "-P", __file__],  # `beam_jobs` is not that of the tests.
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, job, argv, at=None, sent=signal.SIGKILL):
        """Runs `python -m beam_jobs.JOB ARGV`; sends a signal at so many seconds."""
        files = [str(self._folder / name) for name in ("out", "err")]
        order = {"job": job, "argv": argv, "at": at, "sent": int(sent), "files": files}
        self._server.stdin.write(json.dumps(order) + "\n")
        self._server.stdin.flush()
        numbers = json.loads(self._server.stdout.readline())
        return Ended(*numbers, *(Path(path).read_text() for path in files))

    def close(self):
        self._server.stdin.close()
        self._server.wait()


def _serve():
    import importlib

    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        order = json.loads(line)
        job = importlib.import_module(f"beam_jobs.{order['job']}")
        began = time.monotonic()
        child = os.fork()
        if child == 0:
            _be_the_job(job, order)
        if order["at"] is not None:
            time.sleep(order["at"])
            # It is not waited for yet, so its number is its own.
            os.killpg(child, order["sent"])
        _, status, used = os.wait4(child, 0)
        seconds, peak = time.monotonic() - began, used.ru_maxrss * 1024
        ended = [os.waitstatus_to_exitcode(status), seconds, peak]
        print(json.dumps(ended), flush=True)


def _be_the_job(job, order):
    from beam_jobs import command

    os.setsid()
    for number, path in zip((1, 2), order["files"], strict=True):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
    sys.argv = [job.__file__, *order["argv"]]
    code = 0
    try:
        command.main(job._arguments(), job.run, job._said)
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
        if code != ended.code:
            print(ended.code, file=sys.stderr)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # All that Beam has loaded takes a second to be torn down.


if __name__ == "__main__":
    _serve()
