"""Which searches are the test: the schema's split rule, applied to them."""

import os
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beam_jobs.kernels import timelines
from beam_jobs.read_table import read_here
from tfmm import tables
from tfmm.identity import user_keys
from tfmm.records.split import TRAIN, per_user_last_fraction
from tfmm.schema import GlobalTime, PerUserLastFraction, Schema

_NEVER = int(np.iinfo(np.int64).max)
_KEY_BYTES = 32


@dataclass(frozen=True)
class SearchSplit:
    """Tells test searches from training ones.

    Args:
        first_test: The first moment of any test search, in microseconds.
        tested: Where every user has a moment of their own, the sources of all test
            searches, ascending; `None` where `first_test` holds for everybody.
    """

    first_test: int
    tested: np.ndarray | None = None

    @property
    def for_everybody(self) -> int:
        """The moment from which on no search of anybody trains."""
        return self.first_test if self.tested is None else _NEVER

    def is_test(self, searches: pa.Table) -> np.ndarray:
        """bool `[n]`: which searches are the test, by their `time` or `source`."""
        if self.tested is None:
            return searches["time"].to_numpy() >= self.first_test
        sources = searches["source"].to_numpy()
        places = np.searchsorted(self.tested, sources)
        return np.append(self.tested, -1)[places] == sources


def split_of_searches(schema: Schema) -> SearchSplit:
    """The split of the schema's searches.

    With `global_time`, whatever comes after training is the test. With
    `per_user_last_fraction` and users, so is whatever comes after each user's own
    training moments (see `tfmm.records.split`); without users, the last fraction of
    all searches. Where searches are joined with purchases by users' own moments, the
    join alone knows.

    Args:
        schema: The schema; without searches, none is the test by its fraction.
    """
    if isinstance(schema.split, GlobalTime):
        return SearchSplit(timelines.first_known(schema.split))
    if schema.searches is None or schema.joins:
        return SearchSplit(_NEVER)
    if schema.searches.user:
        return _by_user(schema, schema.split)
    read = tables.times(schema.searches, schema.folder, schema.time_unit)
    times = np.sort(np.concatenate(list(read)))
    known = np.floor(round((1 - schema.split.test_fraction) * len(times), 9))
    first = int(times[int(known)]) if known < len(times) else _NEVER
    return SearchSplit(first)


def roles_read(schema: Schema) -> list[str]:
    """The roles of searches that pairs are made of: users only split or join them."""
    assert schema.searches is not None
    by_user = isinstance(schema.split, PerUserLastFraction) or schema.joins
    return [x for x in schema.searches.columns() if by_user or x != "user"]


def _by_user(schema: Schema, rule: PerUserLastFraction) -> SearchSplit:
    # Users are told apart within this function alone, so that any key will do.
    secret = os.urandom(_KEY_BYTES)
    columns = [
        (
            user_keys(chunk["user"].to_pylist(), secret),
            chunk["time"].to_numpy(),
            chunk["source"].to_numpy(),
        )
        for chunk in read_here(schema, "searches", ["time", "bought", "user"])
    ]
    user, time, source = map(np.concatenate, zip(*columns, strict=True))
    part = per_user_last_fraction(
        user, time, rule.test_fraction, rule.validation_fraction
    )
    tested = part != TRAIN
    first = int(time[tested].min()) if tested.any() else _NEVER
    return SearchSplit(first, np.sort(source[tested]))
