"""What some work costs in a process of its own: CPU, wall and memory."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from typing import NamedTuple

from benchmarks.peak_memory import peak_of


class Cost(NamedTuple):
    """Memory is the process's own, CPU that of its child processes too.

    Args:
        cpu: Seconds of all threads.
        wall: Seconds.
        peak: MiB, the most.
        added: MiB, the most above what the idle process took.
    """

    cpu: float
    wall: float
    peak: float
    added: float


def measured(work: Callable[[], object]) -> Cost:
    """The cost of work in this process."""
    wall = cpu = 0.0

    def timed() -> None:
        nonlocal wall, cpu
        wall, cpu = time.perf_counter(), _cpu()
        work()
        cpu, wall = _cpu() - cpu, time.perf_counter() - wall

    memory = peak_of(timed)
    return Cost(cpu, wall, memory.highest, memory.added)


def print_cost(cost: Cost) -> None:
    """What `cost_apart` reads."""
    print(json.dumps(cost))


def cost_apart(module: str, *arguments: str) -> Cost:
    """Runs a module that ends with `print_cost` in a new process.

    Raises:
        RuntimeError: It failed; with the end of what it wrote.
    """
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        raise RuntimeError(f"{module} {arguments[0]} ended:\n{done.stderr[-2000:]}")
    return Cost(*json.loads(done.stdout.splitlines()[-1]))


def _cpu() -> float:
    return sum(os.times()[:4])
