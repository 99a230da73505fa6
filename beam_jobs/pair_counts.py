"""What is counted of pairs: by part, source, media and direction."""

from collections.abc import Mapping, Sequence

import numpy as np

from beam_jobs.counters import count
from tfmm.records.sources import DIRECTIONS, SOURCES

# By `QUERIES`, whether a query or an item has it; an array of many.
Media = Mapping[str, bool | np.ndarray]


def count_pairs(
    part: str, source: int, query: Media, item: Media | None, pairs: int = 1
) -> None:
    """Counts pairs by part, source and what can be compared with what."""
    found = {"pairs": pairs, **{name: np.sum(has) for name, has in query.items()}}
    if item is not None:
        for name in DIRECTIONS:
            asked, answer = name.split("->")
            found[name] = np.sum(query[asked] & item[answer])
    for what, amount in found.items():
        count(f"source:{part}:{SOURCES[source]}:{what}", int(amount))


def count_negatives(clicked: int, negatives: int, reason: str) -> None:
    """Counts a search's clicked items that become no negatives.

    Args:
        clicked: How many items were clicked.
        negatives: How many of them were not bought.
        reason: Why the search itself was left out; empty where it was not.
    """
    count("clicked:dropped:bought_item", clicked - negatives)
    if reason:
        count(f"clicked:dropped:{reason}", negatives)


def source_counts(
    found: dict[str, int], part: str, sources: Sequence[str], whats: Sequence[str]
) -> dict[str, dict[str, int]]:
    """What was counted of a part: source -> its pairs, by media and by direction."""
    return {
        name: {
            what: found.get(f"source:{part}:{name}:{what}", 0)
            for what in ("pairs", *whats)
        }
        for name in sources
    }
