"""Processes that train side by side, each with an environment of its own."""

import json
import os
import shutil
import subprocess
import tempfile
import venv
from pathlib import Path
from typing import Any

PEERS = Path(__file__).parent / "peers"
ROOT = Path(__file__).parents[1]
# Environment of each peer: what pip installs, tried with these versions.
PACKAGES = {
    "deepctr": ("deepctr==0.9.4", "tensorflow==2.21.0", "tf-keras==2.21.0"),
    "fuxictr": ("fuxictr==2.3.10", "torch"),
    "deepctr_torch": ("deepctr-torch==0.3.0", "torch", "requests", "packaging"),
}


class Worker:
    """A process that obeys commands; see `benchmarks/peers/rounds.py`."""

    def __init__(self, python: str, script: str, *arguments: str) -> None:
        self.name = script
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        environment["PYTHONPATH"] = str(ROOT)
        self.log = tempfile.TemporaryFile("w+")  # noqa: SIM115
        self.process = subprocess.Popen(
            [python, str(PEERS / f"{script}_din.py"), *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.log,
            text=True,
            env=environment,
        )

    def answer(self) -> dict[str, Any]:
        """The next line of the process.

        Raises:
            RuntimeError: It has ended; with the end of what it wrote.
        """
        assert self.process.stdout
        for line in self.process.stdout:
            if line.startswith("{"):  # Libraries greet when they are imported.
                return json.loads(line)
        self.log.seek(0)
        raise RuntimeError(f"{self.name} ended:\n{self.log.read()[-2000:]}")

    def ask(self, command: str) -> dict[str, Any]:
        assert self.process.stdin
        print(command, file=self.process.stdin, flush=True)
        return self.answer()

    def close(self) -> None:
        self.process.communicate()
        self.log.close()


def python_of(peer: str, folder: Path) -> str:
    """The peer's Python; its environment is made first where there is none.

    Args:
        peer: A key of `PACKAGES`.
        folder: Where environments are, one a peer.
    """
    python = folder / peer / "bin" / "python"
    if not python.exists():
        print(f"making {folder / peer}: {' '.join(PACKAGES[peer])}", flush=True)
        try:
            venv.create(folder / peer, with_pip=True)
            command = [str(python), "-m", "pip", "install", "--quiet"]
            subprocess.run([*command, *PACKAGES[peer]], check=True)
        except BaseException:  # Half an environment would be taken for a whole one.
            shutil.rmtree(folder / peer, ignore_errors=True)
            raise
    return str(python)
