"""Resident memory of this process: before some work, and the most during it."""

import gc
import resource
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

MEBIBYTE = 2**20
STATUS = Path("/proc/self/status")
CLEAR_REFS = Path("/proc/self/clear_refs")


class Peak(NamedTuple):
    """MiB, the code and the framework included.

    Args:
        before: Right before the work.
        highest: The most during the work.
    """

    before: float
    highest: float

    @property
    def added(self) -> float:
        return self.highest - self.before


def peak_of(work: Callable[[], object]) -> Peak:
    """The memory of `work` alone, whatever its preparation took and gave back.

    Where Linux's counter cannot be set back, it is the process's highest so far, and
    what `work` adds may come out too small.
    """
    gc.collect()
    if not _restart_counter():
        before = _highest_so_far()
        work()
        return Peak(before, _highest_so_far())
    before = _status("VmHWM")
    work()
    return Peak(before, _status("VmHWM"))


def _restart_counter() -> bool:
    try:
        CLEAR_REFS.write_text("5")
    except OSError:
        return False
    return True


def _status(key: str) -> float:
    """A line of the status file, which gives KiB."""
    lines = dict(line.split(":", 1) for line in STATUS.read_text().splitlines())
    return int(lines[key].split()[0]) / 1024


def _highest_so_far() -> float:
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / (MEBIBYTE if sys.platform == "darwin" else 1024)
