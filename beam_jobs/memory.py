"""How much memory is free, by the machine and by its container's limit."""

from collections.abc import Mapping
from pathlib import Path

UNKNOWN = 1 << 62
# Limit and use of a container's memory, by the kernel's two interfaces.
_CONTAINERS = (
    ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory.stat", "anon"),
    (
        "sys/fs/cgroup/memory/memory.limit_in_bytes",
        "sys/fs/cgroup/memory/memory.stat",
        "total_rss",
    ),
)


def free_memory(root: Path = Path("/")) -> int:
    """Bytes that this process can still take; `UNKNOWN` where the system cannot say.

    Args:
        root: Where `proc` and `sys` are.
    """
    machine = _facts(root / "proc/meminfo")
    free = [machine.get("MemAvailable:", UNKNOWN >> 10) << 10]
    for limit, use, own in _CONTAINERS:
        most = _text(root / limit).strip()
        if most.isdecimal():
            # Files in memory give way, so they do not count as used.
            free.append(max(0, int(most) - _facts(root / use).get(own, 0)))
    return min(free)


def _facts(path: Path) -> Mapping[str, int]:
    """Names and numbers of lines such as `anon 4096`."""
    lines = (line.split() for line in _text(path).splitlines())
    return {line[0]: int(line[1]) for line in lines if len(line) > 1}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii")
    except OSError:
        return ""
