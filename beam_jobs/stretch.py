"""A stretch of the log by its days, as `--from`, `--to` and `--lateness_days` say."""

import dataclasses
import datetime
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.records.leak import moment
from tfmm.schema import Table
from tfmm.tables import Part

DAY = 86_400_000_000


@dataclass(frozen=True)
class Stretch:
    """Days of the log, and how late their events may arrive.

    Args:
        since: First moment that is read, microseconds; `None` from the beginning.
        until: First moment that is not, microseconds; `None` to the end.
        lateness: Microseconds.
        end: First moment that no run has read; `until`, or an earlier run's.
    """

    since: int | None = None
    until: int | None = None
    lateness: int = 0
    end: int | None = None

    @classmethod
    def of(
        cls, first: str | None, last: str | None, lateness_days: float = 0
    ) -> "Stretch":
        """The days from `first` to `last`, both included, in UTC.

        What the days before `first` get late is read again, up to `lateness_days`.

        Args:
            first: A date such as `2026-11-25`.
            last: A date.
            lateness_days: Days.

        Raises:
            TfmmError: If one is no date, or they are the wrong way round.

        Example:
            >>> made = Stretch.of("1970-01-03", "1970-01-03", 1)
            >>> made.since // DAY, made.until // DAY
            (1, 3)
        """
        lateness = int(lateness_days * DAY)
        since = None if first is None else _midnight(first) - lateness
        until = None if last is None else _midnight(last) + DAY
        backwards = since is not None and until is not None and since >= until
        if lateness < 0 or backwards:
            raise TfmmError(
                "A stretch goes from an earlier to a later day. Received: from "
                f"{first} to {last}, lateness_days {lateness_days}."
            )
        return cls(since, until, lateness, until)

    def reaching(self, known: int | None) -> "Stretch":
        """The stretch beside an earlier run's days up to a moment."""
        if known is None or self.end is None:
            return self
        return dataclasses.replace(self, end=max(self.end, known))

    @property
    def horizon(self) -> int | None:
        """The earliest moment that a later run may read again; `None` without an end.

        A day before the lateness, so that no request lies across it.
        """
        return None if self.end is None else self.end - self.lateness - DAY

    def within(
        self, table: Table, pieces: Sequence[Part], time_unit: str
    ) -> Sequence[Part]:
        """The pieces of a table that may have rows of the stretch.

        Args:
            table: The table.
            pieces: All its pieces.
            time_unit: Unit of integer times: `s`, `ms` or `us`.
        """
        if (self.since is None and self.until is None) or "time" not in table.columns():
            return pieces
        return tables.within(table, pieces, time_unit, self.since, self.until)

    def holds(self, time: np.ndarray) -> np.ndarray:
        """Which moments are in the stretch: bool `[n]`.

        Args:
            time: int64 `[n]`, microseconds.
        """
        held = np.ones(len(time), bool)
        if self.since is not None:
            held &= time >= self.since
        if self.until is not None:
            held &= time < self.until
        return held

    def said(self) -> str:
        """The stretch in words."""
        since = "the beginning" if self.since is None else moment(self.since)
        return f"{since} to {'the end' if self.until is None else moment(self.until)}"


EVERYTHING = Stretch()


def _midnight(date: str) -> int:
    try:
        day = datetime.date.fromisoformat(date)
    except ValueError as error:
        raise TfmmError(
            f"Days are dates. Expected: such as 2026-11-25. Received: {date!r}."
        ) from error
    return (day - datetime.date(1970, 1, 1)).days * DAY
