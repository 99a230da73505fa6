"""What the manifests of pair records say."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from beam_jobs.counters import table_counts
from beam_jobs.pair_counts import source_counts
from beam_jobs.split_check import PARTS
from tfmm.schema import Schema

KIND = "pairs"
# By source: its pairs, and what they can be used for.
Counts = dict[str, dict[str, int]]


def manifests(
    shop: Schema,
    found: Mapping[str, int],
    sources: Sequence[str],
    whats: Sequence[str],
    **facts: Any,
) -> dict[str, dict[str, Any]]:
    """The manifests by part, with `""` for the whole.

    Args:
        shop: The schema.
        found: The job's counters.
        sources: Where pairs come from.
        whats: What is counted of each source's pairs.
        **facts: Further facts for all of them.
    """
    by_part = {part: source_counts(found, part, sources, whats) for part in PARTS}
    parts = {
        part: {
            "kind": KIND,
            "counts": {"written": _pairs(counts)},
            "sources": counts,
            **facts,
        }
        for part, counts in by_part.items()
    }
    whole = {
        "kind": "pair_sets",
        **_tables(shop, found, sources),
        "pairs": {part: _pairs(counts) for part, counts in by_part.items()},
        "sources": _summed(by_part.values()),
        **facts,
    }
    return {**parts, "": whole}


def _tables(
    shop: Schema, found: Mapping[str, int], sources: Sequence[str]
) -> dict[str, Any]:
    """The counts of every table that was read, by its name in the manifest."""
    tables: dict[str, Any] = {"counts": {}}
    if shop.searches is not None and set(sources) != {"item"}:
        tables = {
            "counts": table_counts(found, "searches"),
            "pictures": table_counts(found, "pictures"),
            "parts": {part: found.get(f"searches:{part}", 0) for part in PARTS},
        }
        names = ["events", "purchases"] if shop.joins else []
        names += ["clicked"] if shop.searches.clicked else []
        tables |= {name: table_counts(found, name) for name in names}
        if shop.groups_queries:
            tables["seen_in_train"] = found.get("pairs:seen_in_train", 0)
    if "item" in sources:
        tables["item_pairs"] = table_counts(found, "items")
    return tables


def _summed(parts: Iterable[Counts]) -> Counts:
    total: Counts = {}
    for counts in parts:
        for name, found in counts.items():
            for what, amount in found.items():
                own = total.setdefault(name, {})
                own[what] = own.get(what, 0) + amount
    return total


def _pairs(counts: Counts) -> int:
    return sum(found["pairs"] for found in counts.values())
