"""The pairs that a join of searches and purchases makes, in training and the test."""

import numpy as np
import pyarrow as pa

from beam_jobs.kernels import timelines
from beam_jobs.kernels.columns import codes, flat, ints, lists
from beam_jobs.kernels.hashes import NOTHING, combined
from beam_jobs.kernels.search_purchases import Groups, Joined, own_groups
from tfmm.records.split import TRAIN, per_user_last_fraction
from tfmm.schema import GlobalTime, PerUserLastFraction

NEVER = int(np.iinfo(np.int64).max)


def pairs_of(
    searches: pa.Table,
    purchases: pa.Table,
    joined: Joined,
    split: GlobalTime | PerUserLastFraction,
    groups: Groups = own_groups,
) -> pa.Table:
    """The pairs: the columns of their searches, and what was bought.

    A pair is of the moment of its purchase, the later of the two: neither the search
    nor the purchase of a training pair lies after the end of training.

    Args:
        searches: What was joined, with any further columns.
        purchases: What was joined.
        joined: What `join` returned.
        split: The split rule; by fraction, a user's last searches are the test.
        groups: Tells which items are the same.

    Returns:
        The searches' columns but `user` and `results`; of the purchase its `item`,
        `time` and, as `origin`, `source`; `search`, which every pair has; `test`
        (bool); and `negatives`: the clicked items, without the groups of all that
        the user bought in the search until the end of training or, in the test,
        after it.
    """
    attributed = np.flatnonzero(joined.search >= 0)
    place, user = joined.search[attributed], ints(purchases, "user")[attributed]
    time, item = (ints(purchases, name)[attributed] for name in ("time", "item"))
    ends = training_ends(ints(searches, "user"), ints(searches, "time"), user, split)
    test = time >= ends
    number, source = (ints(searches, name)[place] for name in ("search", "source"))
    alone = np.where(number == NOTHING, source, -1)
    bought_in = codes(user, number, alone, test)
    kept = joined.dropped[attributed] < 0
    columns = {
        "search": np.where(number == NOTHING, combined(source), number)[kept],
        "time": time[kept],
        "item": item[kept],
        "origin": ints(purchases, "source")[attributed][kept],
        "test": test[kept],
    }
    left = [x for x in searches.column_names if x not in (*columns, "user", "results")]
    pairs = searches.select(left).take(pa.array(place[kept]))
    for name, values in columns.items():
        pairs = pairs.append_column(name, pa.array(values))
    if "clicked" not in left:
        return pairs
    owner, clicked = flat(pairs["clicked"])
    rows = clicked.to_numpy().astype(np.int64, copy=False)
    both = codes(
        np.r_[bought_in[kept][owner], bought_in], np.r_[groups(rows), groups(item)]
    )
    asked, bought = np.split(both, [len(owner)])
    other = ~np.isin(asked, bought)
    negatives = lists(owner[other], rows[other], pairs.num_rows)
    return pairs.append_column("negatives", negatives)


def training_ends(
    user: np.ndarray,
    time: np.ndarray,
    wanted: np.ndarray,
    split: GlobalTime | PerUserLastFraction,
) -> np.ndarray:
    """The first moment after each user's training: int64 `[w]`, microseconds.

    Args:
        user, time: int64 `[n]`, all searches.
        wanted: int64 `[w]`, users.
        split: The split rule.

    Example:
        >>> rule = PerUserLastFraction(rule="per_user_last_fraction")
        >>> training_ends(np.full(5, 3), np.arange(5), np.array([3]), rule).tolist()
        [4]
    """
    if isinstance(split, GlobalTime):
        return np.full(len(wanted), timelines.first_known(split))
    part = per_user_last_fraction(
        user, time, split.test_fraction, split.validation_fraction
    )
    order = np.lexsort((time, user))
    later = order[part[order] != TRAIN]
    users, first = np.unique(user[later], return_index=True)
    place = np.searchsorted(users, wanted)
    known = np.append(users, -1)[place] == wanted
    return np.where(known, np.append(time[later][first], NEVER)[place], NEVER)
