"""Local copies of remote folders, once per process, gone when it ends."""

import atexit
import os
import shutil
import tempfile
import threading
from collections.abc import Callable, Hashable
from pathlib import Path

from beam_jobs.locks import lock

_PREFIX = "tfmm-copy-"
_made: dict[Hashable, Path] = {}
_one_at_a_time = threading.Lock()


def local_copy(version: Hashable, fill: Callable[[Path], None]) -> Path:
    """A folder of this process's own, filled once for every version.

    Args:
        version: What is copied, and as of when.
        fill: Copies it into an empty folder.
    """
    process = os.getpid()
    with _one_at_a_time:
        if (process, version) not in _made:
            place = _place(process)
            fill(place)
            _made[process, version] = place
        return _made[process, version]


def _place(process: int) -> Path:
    """An empty folder; removes those of processes that are gone."""
    for left in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if (held := lock(str(left), folder=True)) is not None:
            shutil.rmtree(left, ignore_errors=True)
            os.close(held)
    while True:
        place = tempfile.mkdtemp(prefix=_PREFIX)
        if lock(place, folder=True) is not None:  # Held as long as the process lives.
            atexit.register(_remove, place, process)
            return Path(place)


def _remove(place: str, process: int) -> None:
    """Removes a copy, unless it is a fork of its process that ends."""
    if os.getpid() == process:
        shutil.rmtree(place, ignore_errors=True)
