"""What a job will read, write and need, said before it begins."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from beam_jobs import files

MIB = 1 << 20
ROWS_PER_SHARD = 500_000
LEAST_SHARDS = 8


@dataclass(frozen=True)
class Plan:
    """What a job will do.

    Args:
        job: Its name.
        output: The output folder.
        shards: Number of hash shards.
        rows: Table -> its rows, or about as many.
        read_bytes: Bytes of the files it reads.
        row_bytes: What a row takes in memory on one machine, as measured.
        base_bytes: What the job takes without any row.
        done: Units of work that an earlier run finished.
    """

    job: str
    output: str
    shards: int
    rows: Mapping[str, int]
    read_bytes: int
    row_bytes: int
    base_bytes: int
    done: int = 0

    @property
    def memory(self) -> int:
        """Bytes that the job is expected to take at its peak on one machine."""
        return self.base_bytes + self.row_bytes * sum(self.rows.values())

    def text(self) -> str:
        """The plan as a few readable lines."""
        tables = [f"{name} {rows:,} rows" for name, rows in self.rows.items()]
        stands = files.facts(files.join(self.output, "manifest.json"))
        return "\n".join(
            [
                f"{self.job} would",
                f"  read   {', '.join(tables) or 'finished outputs'} "
                f"({self.read_bytes / MIB:,.1f} MiB in files)",
                f"  write  {self.output}, {self.shards} shards"
                + (", in place of the output that stands there" if stands else ""),
                f"  reuse  {self.done} units of work of an earlier run",
                f"  need   about {self.memory / MIB:,.0f} MiB of memory on one machine",
            ]
        )

    def advice(self) -> str:
        """What to do where this machine has too little memory; empty where it fits."""
        free = _free_memory()
        if self.memory <= free:
            return ""
        return (
            f"{self.job} will need about {self.memory / MIB:,.0f} MiB of memory, and "
            f"{free / MIB:,.0f} MiB are free. Beam's runner on one machine keeps all "
            "that it groups in memory. Run it on a larger machine or a cluster "
            "(docs/clusters.md), or on a shorter log."
        )


def shards_for(rows: int, rows_per_shard: int = ROWS_PER_SHARD) -> int:
    """Shards for so many rows: a power of two.

    Example:
        >>> shards_for(1_000_000), shards_for(10_000_000)
        (8, 32)
    """
    shards = LEAST_SHARDS
    while rows > shards * rows_per_shard:
        shards *= 2
    return shards


def _free_memory() -> int:
    """Bytes that programs can still take; a great many where the system cannot say."""
    try:
        text = Path("/proc/meminfo").read_text(encoding="ascii")
    except OSError:
        return 1 << 62
    facts = dict(line.split(":") for line in text.splitlines())
    return int(facts["MemAvailable"].split()[0]) * 1024
