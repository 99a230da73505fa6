"""Pairs of a query and the item that it should find, as pair records hold them."""

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from beam_jobs.kernels.columns import codes, feature, flat, ints, lists
from beam_jobs.kernels.hashes import NOTHING, mixed
from tfmm.records.example_batch import framed_examples

_BYTES_AT_ONCE = 4 << 20
# What orders pairs of one place.
_ORDER = ("origin", "source", "query_item")
# The features of a record, in its order.
_RECORD = (
    *("query_text", "query_image", "item", "negatives"),
    *("time", "source", "query_item", "positives"),
)
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


def pairs(
    searches: pa.Table,
    places: np.ndarray,
    source: int,
    texts: pa.Array | None = None,
    images: pa.Array | None = None,
    query_items: np.ndarray | None = None,
) -> pa.Table:
    """Pairs as rows of `SCHEMA`.

    Args:
        searches: Their columns `origin`, `search`, `time`, `item` and, where known,
            `negatives`.
        places: int64 `[n]`, the search of every pair.
        source: A place in `tfmm.records.sources.SOURCES`.
        texts, images, query_items: What each pair's query consists of, `[n]`.
    """
    count = len(places)
    columns = {
        "source": np.full(count, source),
        "query_text": pa.repeat("", count) if texts is None else texts,
        "query_image": pa.repeat(b"", count) if images is None else images,
        "query_item": np.zeros(count, np.int64) if query_items is None else query_items,
    }
    taken = searches.take(pa.array(places))
    if "negatives" not in taken.column_names:
        columns["negatives"] = lists(np.zeros(0, int), np.zeros(0, int), count)
    return pa.table(
        [columns[name] if name in columns else taken[name] for name in SCHEMA.names],
        schema=SCHEMA,
    )


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


def framed_records(pairs: pa.Table) -> Iterator[bytes]:
    """The pairs of a shard as framed pair records, in an order that looks random.

    A shard holds all pairs of a search, so what else was bought in it becomes the
    pairs' further positives, and none of their negatives. Few pairs at a time leave
    the table: their pictures would take as much memory again.

    Args:
        pairs: Rows of `SCHEMA`.
    """
    pairs = _with_positives(pairs)
    keys = [ints(pairs, name) for name in reversed(_ORDER)]
    order = np.lexsort([*keys, mixed(ints(pairs, "origin"))])
    at_once = max(1, _BYTES_AT_ONCE * len(order) // max(1, pairs.nbytes))
    for start in range(0, len(order), at_once):
        some = pairs.take(pa.array(order[start : start + at_once]))
        yield from framed_examples(
            {name: feature(some[name].combine_chunks()) for name in _RECORD}
        )


def _with_positives(pairs: pa.Table) -> pa.Table:
    """The pairs with `positives`, and without these among the `negatives`."""
    search, item, query = (ints(pairs, x) for x in ("search", "item", "query_item"))
    named = np.flatnonzero(search != NOTHING)
    _, once = np.unique(codes(search[named], item[named]), return_index=True)
    bought_in, bought = search[named][once], item[named][once]
    start, end = (
        np.searchsorted(bought_in, search, side) for side in ("left", "right")
    )
    pair = np.arange(len(search))
    owner = np.repeat(pair, end - start)
    first = np.cumsum(end - start) - (end - start)
    other = bought[np.arange(len(owner)) - first[owner] + start[owner]]
    further = (other != item[owner]) & (other != query[owner])
    owner, other = owner[further], other[further]
    whose, rows = flat(pairs["negatives"])
    asked, known = np.split(
        codes(
            np.r_[whose, pair, pair, owner], np.r_[rows.to_numpy(), item, query, other]
        ),
        [len(whose)],
    )
    wrong = ~np.isin(asked, known)
    negatives = lists(whose[wrong], rows.to_numpy()[wrong], len(pair))
    place = pairs.column_names.index("negatives")
    return pairs.set_column(place, "negatives", negatives).append_column(
        "positives", lists(owner, other, len(pair))
    )
