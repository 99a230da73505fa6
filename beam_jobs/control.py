"""How a job runs, whatever it makes."""

import dataclasses
from dataclasses import dataclass

from tfmm.errors import TfmmError


@dataclass(frozen=True)
class Control:
    """How a job runs, whatever it makes.

    Args:
        max_bad_fraction: Most bad records of a table, as a share of its rows; with
            more of them nothing is put in place.
        dry_run: Says what would be done, and does nothing.
        shards: Number of output files; by the number of rows when absent.
        progress: Whether to show progress on standard error.
    """

    max_bad_fraction: float = 0.25
    dry_run: bool = False
    shards: int | None = None
    progress: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.max_bad_fraction <= 1:
            raise TfmmError(
                "`max_bad_fraction` must be from 0 to 1. Received: "
                f"{self.max_bad_fraction}. Try 0.01."
            )
        if self.shards is not None and not 1 <= self.shards <= 99_999:
            raise TfmmError(
                f"`shards` must be from 1 to 99999. Received: {self.shards}. Leave it "
                "out to have it chosen by the number of rows."
            )

    def with_shards(self, shards: int, folder: str) -> "Control":
        """The same with the number of shards that a folder has.

        Raises:
            TfmmError: If another number is asked for.
        """
        if self.shards not in (None, shards):
            raise TfmmError(
                f"`{folder}` has {shards} shards, and what is added to it must have as "
                f"many. Received: {self.shards}. Leave `shards` out."
            )
        return dataclasses.replace(self, shards=shards)


DEFAULT = Control()
