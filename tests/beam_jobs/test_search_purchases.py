"""The join against a plain-Python reference, on random logs."""

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.kernels.hashes import combined, of_lists
from beam_jobs.kernels.purchase_pairs import pairs_of, training_ends
from beam_jobs.kernels.search_purchases import REASONS, join
from tfmm.schema import GlobalTime, Pairs, PerUserLastFraction

SECOND = 1_000_000
# Few users, moments, queries and items, so that ties and repetitions abound.
MOMENT, USER, ITEM = st.integers(0, 9), st.integers(0, 2), st.integers(2, 6)
SEARCH = st.fixed_dictionaries(
    {
        "user": USER,
        "time": MOMENT,
        "search": st.integers(0, 3),
        "query": st.integers(1, 2),
        "clicked": st.lists(ITEM, max_size=2, unique=True),
        "results": st.lists(ITEM, max_size=2, unique=True),
    }
)
PURCHASE = st.fixed_dictionaries({"user": USER, "time": MOMENT, "item": ITEM})
RULE = st.builds(
    Pairs,
    window_seconds=st.integers(1, 9),
    max_per_search=st.integers(1, 2),
    require_click=st.sampled_from([None, True, False]),
)
LOGS = st.tuples(st.lists(SEARCH, max_size=12), st.lists(PURCHASE, max_size=12))
SPLITS = st.sampled_from(
    [
        GlobalTime(test_from=5),
        PerUserLastFraction(rule="per_user_last_fraction", test_fraction=0.4),
    ]
)


def groups(rows):
    """Items 2 and 3 are the same, and 4 and 5."""
    return rows // 2


def tables(searches, purchases):
    lists = {name: [x[name] for x in searches] for name in ("clicked", "results")}
    columns = {
        name: pa.array(values, pa.list_(pa.int64())) for name, values in lists.items()
    }
    content = combined(*map(of_lists, columns.values()))
    for name in ("user", "time", "search", "query"):
        unit = SECOND if name == "time" else 1
        columns[name] = pa.array([x[name] * unit for x in searches], pa.int64())
    columns["source"] = pa.array(np.arange(len(searches)))
    bought = {
        "user": pa.array([x["user"] for x in purchases], pa.int64()),
        "time": pa.array([x["time"] * SECOND for x in purchases], pa.int64()),
        "item": pa.array([x["item"] for x in purchases], pa.int64()),
        "source": pa.array(np.arange(len(purchases))),
    }
    return pa.table(columns | {"content": pa.array(content)}), pa.table(bought)


def reference(searches, purchases, rule):
    """By purchase: the row of its search and why it is no pair."""
    window, required = rule.window_seconds * SECOND, rule.require_click is not False
    order = ("time", "search", "query", "content", "source")
    searches = sorted(searches.to_pylist(), key=lambda s: [s[name] for name in order])
    found, before, taken = {}, {}, Counter()
    for p in sorted(purchases.to_pylist(), key=lambda p: (p["time"], p["item"])):
        group = p["item"] // 2
        near = [
            s
            for s in searches
            if s["user"] == p["user"] and 0 < p["time"] - s["time"] <= window
        ]
        proven = [
            s for s in near if group in {x // 2 for x in s["clicked"] + s["results"]}
        ]
        best = (proven or ([] if required else near))[-1:]
        if not best:
            found[p["source"]] = -1, "not_clicked" if near else "no_search"
            continue
        (s,) = best
        query, reason = (p["user"], s["query"], group), ""
        of_search = p["user"], s["search"], s["search"] or s["source"]
        if p["time"] - before.get(query, -window - 1) <= window:
            reason = "repeated"
        elif taken[of_search] == rule.max_per_search:
            reason = "over_per_search"
        else:
            taken[of_search] += 1
        before[query] = p["time"]
        found[p["source"]] = s["source"], reason
    return found


def named(joined):
    return [(*REASONS, "")[code] for code in joined.dropped]


@settings(max_examples=200, deadline=None)
@given(LOGS, RULE)
def test_the_join_equals_the_reference(logs, rule):
    searches, purchases = tables(*logs)
    joined = join(searches, purchases, rule, groups)
    expected = reference(searches, purchases, rule)
    found = zip(joined.search.tolist(), named(joined), strict=True)
    assert dict(enumerate(found)) == expected


@settings(max_examples=100, deadline=None)
@given(LOGS, RULE, SPLITS, st.randoms(use_true_random=False))
def test_the_order_of_the_input_never_matters(logs, rule, split, random):
    def made(searches, purchases):
        tables_ = tables(searches, purchases)
        joined = join(*tables_, rule, groups)
        pairs = pairs_of(*tables_, joined, split, groups)
        reasons = zip(purchases, named(joined), strict=True)
        left = Counter((p["user"], p["time"], p["item"], why) for p, why in reasons)
        drop = pairs.drop_columns(["source", "origin", "search"])
        return Counter(str(pair) for pair in drop.to_pylist()), left

    before = made(*logs)
    for log in logs:
        random.shuffle(log)
    assert made(*logs) == before


@settings(max_examples=100, deadline=None)
@given(LOGS, RULE, SPLITS)
def test_no_pair_lies_across_the_split(logs, rule, split):
    searches, purchases = tables(*logs)
    joined = join(searches, purchases, rule, groups)
    pairs = pairs_of(searches, purchases, joined, split, groups)
    assert pairs.num_rows == (joined.dropped < 0).sum()
    user, time = searches["user"].to_numpy(), searches["time"].to_numpy()
    for pair in pairs.to_pylist():
        own = user[pair["source"]]
        (end,) = training_ends(user, time, np.array([own]), split).tolist()
        assert pair["test"] == (pair["time"] >= end)
        assert time[pair["source"]] < pair["time"]
        in_training = time[pair["source"]] < end and pair["time"] < end
        assert in_training or pair["test"]


def joined(searches, purchases, **rule):
    """(place of the search, reason) of every purchase of one user."""
    full = {"user": 0, "search": 0, "query": 1, "clicked": [], "results": []}
    found = join(
        *tables([full | x for x in searches], [{"user": 0} | x for x in purchases]),
        Pairs(**{"require_click": False} | rule),
    )
    return list(zip(found.search.tolist(), named(found), strict=True))


def test_the_window_at_its_ends():
    searches = [{"time": 10}]
    purchases = [{"time": time, "item": time} for time in (10, 11, 15, 16)]
    assert joined(searches, purchases, window_seconds=5) == [
        (-1, "no_search"),
        (0, ""),
        (0, ""),
        (-1, "no_search"),
    ]


def test_the_search_that_clicked_or_showed_the_item_goes_first():
    searches = [
        {"time": 1, "clicked": [7]},
        {"time": 2, "results": [7, 8]},
        {"time": 3},
    ]
    purchases = [{"time": 9, "item": item} for item in (7, 8, 9)]
    assert joined(searches, purchases) == [(1, ""), (1, ""), (2, "")]
    assert joined(searches, purchases, require_click=True) == [
        (1, ""),
        (1, ""),
        (-1, "not_clicked"),
    ]
    # Out of the window the click proves nothing.
    assert joined(searches, purchases, window_seconds=6) == [(2, "")] * 3


def test_searches_of_one_moment_go_by_their_id():
    searches = [{"time": 1, "search": 9}, {"time": 1, "search": 5}]
    assert joined(searches, [{"time": 2, "item": 7}]) == [(0, "")]


def test_what_is_bought_again_counts_once():
    searches = [{"time": 0, "query": 1}, {"time": 21, "query": 2}]
    purchases = [{"time": time, "item": 7} for time in (1, 11, 22, 23)]
    found = [reason for _, reason in joined(searches, purchases, window_seconds=10)]
    # 11 is of no search's window; 22 asks by another query.
    assert found == ["", "no_search", "", "repeated"]


def test_the_earliest_purchases_of_a_search_are_kept():
    searches = [{"time": 1, "search": 4}, {"time": 3, "search": 4}]
    purchases = [{"time": time, "item": time} for time in (9, 2, 5)]
    found = [reason for _, reason in joined(searches, purchases, max_per_search=2)]
    assert found == ["over_per_search", "", ""]


@pytest.mark.parametrize("moment", [7, 8])
def test_a_clicked_item_of_a_bought_group_is_no_negative(moment):
    searches = [{"user": 0, "time": 1, "search": 0, "query": 1, "results": []}]
    searches[0]["clicked"] = [2, 3, 4, 6, 8]
    purchases = [
        {"user": 0, "time": 2, "item": 2},
        {"user": 0, "time": 3, "item": 6},
        {"user": 0, "time": moment, "item": 8},
    ]
    found = tables(searches, purchases)
    rule = Pairs(max_per_search=1)
    split = GlobalTime(test_from=8)
    pairs = pairs_of(*found, join(*found, rule, groups), split, groups)
    # 3 is of the group of 2; 6 is over the limit and bought all the same, as is 8,
    # of which nobody knows before the end of training.
    assert pairs["negatives"].to_pylist() == [[4] if moment == 7 else [4, 8]]
    assert pairs["item"].to_pylist() == [2]
