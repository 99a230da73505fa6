"""What is counted of pairs: by part, source, media and direction."""

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa

from beam_jobs.counters import count
from beam_jobs.kernels.columns import codes, flat, ints
from beam_jobs.split_check import TEST, TRAIN
from tfmm.records.sources import DIRECTIONS, SOURCES

# By `QUERIES`, which queries or items have it: bool `[n]`.
Media = Mapping[str, np.ndarray]
# What became of a clicked item.
BOUGHT, UNUSED, USED = range(3)


def count_pairs(
    part: str, source: int, query: Media, item: Media | None, pairs: int
) -> None:
    """Counts pairs by part, source and what can be compared with what."""
    found = {"pairs": pairs, **{name: np.sum(has) for name, has in query.items()}}
    if item is not None:
        for name in DIRECTIONS:
            asked, answer = name.split("->")
            found[name] = np.sum(query[asked] & item[answer])
    for what, amount in found.items():
        count(f"source:{part}:{SOURCES[source]}:{what}", int(amount))


def count_searches(searches: pa.Table, paired: np.ndarray, reasons: np.ndarray) -> None:
    """Counts every search once: by its part, or by why it has no pair.

    Args:
        searches: Columns `source` and `test`; all rows of a search, one or several.
        paired: bool `[n]`: which rows have a pair.
        reasons: `[n]`, texts: why there is none.
    """
    _, first, number = np.unique(
        ints(searches, "source"), return_index=True, return_inverse=True
    )
    trains = paired & ~searches["test"].to_numpy()
    kept, trained = (np.bincount(number, rows) > 0 for rows in (paired, trains))
    count(f"searches:{TRAIN}", int(trained.sum()))
    count(f"searches:{TEST}", int((kept & ~trained).sum()))
    for reason, amount in Counter(reasons[first[~kept]].tolist()).items():
        count(f"searches:dropped:{reason}", amount)


def count_clicks(searches: pa.Table, used: np.ndarray, reasons: np.ndarray) -> None:
    """Counts every clicked item of a search once, if no pair uses it.

    Args:
        searches: Columns `source` and `clicked`; all rows of a search.
        used: int `[v]` of all values of `clicked`: `BOUGHT`, `UNUSED` or `USED`.
        reasons: `[v]`, texts: why it is of no use where it is `UNUSED`.
    """
    owner, rows = flat(searches["clicked"])
    click = codes(ints(searches, "source")[owner], rows.to_numpy())
    _, first, number = np.unique(click, return_index=True, return_inverse=True)
    best = np.zeros(len(first), np.int64)
    np.maximum.at(best, number, used)
    count("clicked:dropped:bought_item", int((best == BOUGHT).sum()))
    for reason, amount in Counter(reasons[first[best == UNUSED]].tolist()).items():
        count(f"clicked:dropped:{reason}", amount)


def count_left_out(searches: pa.Table, reasons: np.ndarray) -> None:
    """Counts searches without any pair, and what was clicked in them.

    Args:
        searches: Columns `source` and, where known, `clicked` and `negatives`; all
            rows of a search.
        reasons: `[n]`, texts.
    """
    _, first = np.unique(ints(searches, "source"), return_index=True)
    for reason, amount in Counter(reasons[first].tolist()).items():
        count(f"searches:dropped:{reason}", amount)
    if "clicked" in searches.column_names:
        owner, negative = negatives(searches)
        count_clicks(searches, np.where(negative, UNUSED, BOUGHT), reasons[owner])


def negatives(searches: pa.Table) -> tuple[np.ndarray, np.ndarray]:
    """Whose each clicked item is, and whether it is one of the negatives.

    Before anything was bought, all are.
    """
    owner, clicked = flat(searches["clicked"])
    if "negatives" not in searches.column_names:
        return owner, np.ones(len(owner), bool)
    whose, rows = flat(searches["negatives"])
    both = codes(np.r_[owner, whose], np.r_[clicked.to_numpy(), rows.to_numpy()])
    asked, known = np.split(both, [len(owner)])
    return owner, np.isin(asked, known)


def source_counts(
    found: Mapping[str, int], part: str, sources: Sequence[str], whats: Sequence[str]
) -> dict[str, dict[str, int]]:
    """What was counted of a part: source -> its pairs, by media and by direction."""
    return {
        name: {
            what: found.get(f"source:{part}:{name}:{what}", 0)
            for what in ("pairs", *whats)
        }
        for name in sources
    }
