"""What a job will read, write and need, said before it begins."""

from collections.abc import Mapping
from dataclasses import dataclass

from beam_jobs import files
from beam_jobs.memory import UNKNOWN, free_memory
from tfmm.records.manifest import NAME

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
        done: Shards that an earlier run finished.
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
        stands = files.facts(files.join(self.output, NAME)) is not None
        free = free_memory()
        facts = {
            "read": f"{', '.join(tables) or 'finished outputs'}; "
            f"{size(self.read_bytes)} in files",
            "write": f"{self.output}, {self.shards} shards"
            + (", in place of the output that stands there" if stands else ""),
            "keep": f"{self.done} shards that an earlier run finished",
            "need": f"about {size(self.memory)} of memory on one machine"
            + ("" if free == UNKNOWN else f"; {size(free)} are free here"),
        }
        lines = [f"  {what:<6} {said}" for what, said in facts.items()]
        return "\n".join([f"{self.job} would", *lines])

    def advice(self) -> str:
        """What to do where this machine has too little memory; empty where it fits."""
        free = free_memory()
        if self.memory <= free:
            return ""
        return (
            f"{self.job} will need about {size(self.memory)} of memory, and "
            f"{size(free)} are free. Beam's runner on one machine keeps all that it "
            "groups in memory. Run it on a larger machine or a cluster "
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


def size(count: int) -> str:
    """A number of bytes in words.

    Example:
        >>> size(2_600), size(130_000_000), size(5_000_000_000)
        ('2.5 KiB', '124.0 MiB', '4.7 GiB')
    """
    unit = 2 if count < 1 << 30 else 3
    unit = 1 if count < MIB else unit
    return f"{count / (1 << 10 * unit):,.1f} {'KMG'[unit - 1]}iB"
