"""Pairs of a query and the item that it should find, as pair records hold them."""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from tfmm.records.example import encode

NO_SEARCH = 0
_WRITTEN_AT_ONCE = 256
# What orders pairs of one place.
_ORDER = ("origin", "source", "query_item")
# A pair on its way to a record; `origin` is its row in the input, `search` a hash that
# goes no further.
SCHEMA = pa.schema(
    {
        "origin": pa.int64(),
        "search": pa.int64(),
        "time": pa.int64(),
        "source": pa.int64(),
        "query_text": pa.string(),
        "query_image": pa.binary(),
        "query_item": pa.int64(),
        "item": pa.int64(),
        "negatives": pa.list_(pa.int64()),
    }
)


def search_hashes(ids: Sequence[str | None]) -> list[int]:
    """63 bits for every search id; 0 where there is none.

    Example:
        >>> search_hashes(["a", "", None])[1:]
        [0, 0]
    """
    return [
        int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) >> 1
        if text
        else NO_SEARCH
        for text in ids
    ]


def mixed(values: np.ndarray) -> np.ndarray:
    """uint64 that look random, the same for the same integers (splitmix64).

    Args:
        values: Integers `[n]`.
    """
    x = values.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        x = (x ^ (x >> np.uint64(shift))) * np.uint64(factor)
    return x ^ (x >> np.uint64(31))


def held_out(groups: np.ndarray, share: float) -> np.ndarray:
    """bool `[n]`: about `share` of all groups, always the same ones.

    Args:
        groups: int `[n]`, groups of items; a group is never divided.
        share: Between 0 and 1.

    Example:
        >>> float(held_out(np.arange(100_000), 0.05).mean().round(2))
        0.05
    """
    return mixed(groups) / 2.0**64 < share


def records(pairs: pa.Table) -> Iterator[bytes]:
    """The pairs of a shard as pair records, in an order that looks random.

    A shard holds all pairs of a search, so what else was bought in it becomes the
    pairs' further positives, and none of their negatives. Few pairs at a time leave
    the table: pictures as Python objects would take as much memory again.

    Args:
        pairs: Rows of `SCHEMA`.
    """
    bought: dict[int, set[int]] = defaultdict(set)
    columns = (pairs[name].to_pylist() for name in ("search", "item"))
    for search, item in zip(*columns, strict=True):
        if search != NO_SEARCH:
            bought[search].add(item)
    numbers = {name: pairs[name].to_numpy() for name in _ORDER}
    keys = [numbers[name] for name in reversed(_ORDER)]
    order = np.lexsort([*keys, mixed(numbers["origin"])])
    for start in range(0, len(order), _WRITTEN_AT_ONCE):
        some = pairs.take(pa.array(order[start : start + _WRITTEN_AT_ONCE]))
        for pair in some.to_pylist():
            known = {pair["item"], pair["query_item"]}
            yield _record(pair, sorted(bought.get(pair["search"], set()) - known))


def _record(pair: dict[str, Any], positives: list[int]) -> bytes:
    known = {pair["item"], pair["query_item"], *positives}
    negatives = [row for row in pair["negatives"] if row not in known]
    return encode(
        {
            "query_text": [pair["query_text"].encode()],
            "query_image": [pair["query_image"]],
            "item": np.array([pair["item"]]),
            "negatives": np.array(negatives, np.int64),
            "time": np.array([pair["time"]]),
            "source": np.array([pair["source"]]),
            "query_item": np.array([pair["query_item"]]),
            "positives": np.array(positives, np.int64),
        }
    )
