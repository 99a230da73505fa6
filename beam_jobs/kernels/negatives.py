"""Samples the negatives of training requests; those kept count for the others."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from beam_jobs.kernels.pairs import mixed
from beam_jobs.kernels.timelines import Requests
from tfmm.records.split import TRAIN


def sampled(requests: Requests, labels: Sequence[str], rate: float) -> Requests:
    """The requests with a share of the training negatives, and a weight of each.

    A candidate with no positive label is a negative. A negative of a training request
    is kept where a hash of its user, item and request's time falls under `rate`, so
    that neither the order of the input nor the number of shards has a say; it then has
    weight `1 / rate`. All others are kept with weight 1. Requests that keep no
    candidate are left out.

    Args:
        requests: Requests with their parts.
        labels: Names of the labels.
        rate: Share of negatives to keep, above 0, at most 1.

    Returns:
        The requests; impressions have the further column `weight` float32.
    """
    table = requests.impressions
    sizes = np.diff(requests.first)
    owner = np.repeat(np.arange(len(sizes)), sizes)
    positive = np.zeros(table.num_rows, bool)
    for label in labels:
        positive |= table[f"label:{label}"].to_numpy() > 0
    negative = ~positive & (requests.part[owner] == TRAIN)
    kept = ~negative | (_share(requests, owner) < rate)
    weight = np.where(negative, 1 / rate, 1).astype(np.float32)
    left = np.bincount(owner[kept], minlength=len(sizes))
    filled = left > 0
    return dataclasses.replace(
        requests,
        user=requests.user[filled],
        time=requests.time[filled],
        part=requests.part[filled],
        first=np.r_[0, np.cumsum(left[filled])],
        impressions=_weighted(table, weight).filter(pa.array(kept)),
    )


def _weighted(impressions: pa.Table, weight: np.ndarray) -> pa.Table:
    """With these weights, in the place of any others."""
    if "weight" in impressions.column_names:
        impressions = impressions.drop_columns("weight")
    return impressions.append_column("weight", pa.array(weight))


def _share(requests: Requests, owner: np.ndarray) -> np.ndarray:
    """A number from 0 to 1 for every impression that looks random."""
    found = mixed(requests.impressions["item"].to_numpy())
    for values in (requests.user[owner], requests.time[owner]):
        found = mixed(found ^ mixed(values))
    return found / 2.0**64
