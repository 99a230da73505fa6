"""Which search every purchase belongs to."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beam_jobs.kernels.columns import codes, flat, ints, ranks
from beam_jobs.kernels.hashes import NOTHING
from tfmm.schema import Pairs

REASONS = ("no_search", "not_clicked", "repeated", "over_per_search")
_NO_SEARCH, _NOT_CLICKED, _REPEATED, _OVER = range(4)
_NONE = -1
_SECOND = 1_000_000
_ORDER = ("user", "time", "search", "query", "content", "source")
_LISTS = ("clicked", "results")
# Catalog rows `[n]` -> their groups `[n]`; items of one are the same to a shopper.
Groups = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Joined:
    """What became of every purchase.

    Args:
        search: int64 `[P]`, the row of its search; -1 where it has none.
        dropped: int64 `[P]`, the place of its reason in `REASONS`; -1 for a pair.
    """

    search: np.ndarray
    dropped: np.ndarray


def own_groups(rows: np.ndarray) -> np.ndarray:
    """The groups where nobody knows of any: every item is its own."""
    return rows


def join(
    searches: pa.Table,
    purchases: pa.Table,
    rule: Pairs,
    groups: Groups = own_groups,
) -> Joined:
    """Finds the search of every purchase; see `tfmm.schema.Pairs` for the rule.

    Searches of one moment follow each other by id, then by content, and only equal
    ones by `source`. A purchase repeats the user's one before it of the same query
    and item group, if that is no longer ago than the window.

    Args:
        searches: int64 columns `user`, `time` (microseconds), `source`, `search`
            (hash of the id, or 0), `query` and `content` (hashes), and, where known,
            `clicked` and `results`: lists of catalog rows.
        purchases: int64 columns `user`, `time`, `item` (catalog row) and `source`.
        rule: The schema's rule.
        groups: Tells which items are the same.

    Example:
        >>> searches = pa.table({
        ...     "user": [7, 7], "time": [10, 20], "source": [0, 1], "search": [0, 0],
        ...     "query": [4, 5], "content": [0, 0], "clicked": [[2], []]})
        >>> purchases = pa.table({
        ...     "user": [7, 7], "time": [30, 30], "item": [2, 3], "source": [0, 1]})
        >>> found = join(searches, purchases, Pairs())
        >>> found.search.tolist(), REASONS[found.dropped[1]]
        ([0, -1], 'not_clicked')
    """
    order = np.lexsort([ints(searches, name) for name in reversed(_ORDER)])
    ordered = searches.select([*_ORDER, *_known_lists(searches)]).take(pa.array(order))
    window = int(rule.window_seconds * _SECOND)
    search, dropped = _attributed(ordered, purchases, rule, window, groups)
    paired = np.flatnonzero(search >= 0)
    again = _repeated(ordered, purchases, search, paired, window, groups)
    dropped[paired[again]] = _REPEATED
    kept = paired[~again]
    over = _rank_in_search(ordered, purchases, search, kept) >= rule.max_per_search
    dropped[kept[over]] = _OVER
    return Joined(_at(order, search), dropped)


def _attributed(
    searches: pa.Table,
    purchases: pa.Table,
    rule: Pairs,
    window: int,
    groups: Groups,
) -> tuple[np.ndarray, np.ndarray]:
    """The place of every purchase's search, or -1 and the reason."""
    user, time = ints(searches, "user"), ints(searches, "time")
    buyer, moment = ints(purchases, "user"), ints(purchases, "time")

    def within(place: np.ndarray) -> np.ndarray:
        return np.where(moment - _at(time, place) <= window, place, _NONE)

    last = within(_last_before(user, time, buyer, moment))
    group = groups(ints(purchases, "item"))
    place, seen = _seen(searches, groups, group)
    both = codes(np.r_[user[place], buyer], np.r_[seen, group])
    key, wanted = np.split(both, [len(place)])
    order = np.lexsort((place, key))
    key, place = key[order], place[order]
    proven = within(_at(place, _last_before(key, time[place], wanted, moment)))
    required = rule.require_click
    if required is None:
        required = "clicked" in searches.column_names
    search = np.where((proven < 0) & (not required), last, proven)
    reason = np.where(last < 0, _NO_SEARCH, _NOT_CLICKED)
    return search, np.where(search < 0, reason, _NONE)


def _repeated(
    searches: pa.Table,
    purchases: pa.Table,
    search: np.ndarray,
    paired: np.ndarray,
    window: int,
    groups: Groups,
) -> np.ndarray:
    """Which of the paired purchases repeat the one before: bool `[n]`."""
    place = search[paired]
    user, time, item, source = (
        ints(purchases, name)[paired] for name in ("user", "time", "item", "source")
    )
    key = codes(user, ints(searches, "query")[place], groups(item))
    order = np.lexsort((source, place, item, time, key))
    key, time = key[order], time[order]
    again = np.zeros(len(order), bool)
    again[order[1:]] = (key[1:] == key[:-1]) & (time[1:] - time[:-1] <= window)
    return again


def _rank_in_search(
    searches: pa.Table, purchases: pa.Table, search: np.ndarray, kept: np.ndarray
) -> np.ndarray:
    """How many kept purchases of its search come before each: int64 `[n]`."""
    user, time, item, source = (
        ints(purchases, name)[kept] for name in ("user", "time", "item", "source")
    )
    number = ints(searches, "search")[search[kept]]
    alone = np.where(number == NOTHING, search[kept], _NONE)
    return ranks(codes(user, number, alone), time, item, source)


def _seen(
    searches: pa.Table, groups: Groups, wanted: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Searches' places and the groups clicked or shown in them, if wanted."""
    place, group = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for name in _known_lists(searches):
        owner, rows = flat(searches[name])
        found = groups(rows.to_numpy().astype(np.int64, copy=False))
        asked = np.isin(found, wanted)
        place.append(owner[asked])
        group.append(found[asked])
    return np.concatenate(place), np.concatenate(group)


def _known_lists(searches: pa.Table) -> list[str]:
    return [name for name in _LISTS if name in searches.column_names]


def _last_before(
    key: np.ndarray, time: np.ndarray, wanted: np.ndarray, moment: np.ndarray
) -> np.ndarray:
    """The last place of the wanted key before the moment, or -1: int64 `[w]`.

    Args:
        key, time: int64 `[n]`, ordered by both.
        wanted, moment: int64 `[w]`.
    """
    both = codes(np.r_[key, wanted], np.r_[time, moment])
    known, asked = np.split(both, [len(key)])
    found = np.searchsorted(known, asked, "left") - 1
    return np.where((found >= 0) & (_at(key, found) == wanted), found, _NONE)


def _at(values: np.ndarray, place: np.ndarray) -> np.ndarray:
    """`values[place]`; -1 where the place is."""
    return np.append(values, _NONE)[place]
