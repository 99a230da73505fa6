"""Caps by query text against plain Python, on random pairs."""

from collections import Counter

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_jobs.kernels.query_caps import REASONS, cap
from tfmm.schema import Pairs

PAIR = st.fixed_dictionaries(
    {
        "text": st.integers(0, 2),
        "item": st.integers(2, 4),
        "time": st.integers(0, 20),
        "negatives": st.lists(st.integers(2, 5), max_size=2),
        "test": st.booleans(),
    }
)
RULE = st.builds(
    Pairs,
    max_per_query=st.sampled_from([None, 1, 2, 4]),
    drop_seen=st.booleans(),
)


def table(pairs):
    kinds = {"negatives": pa.list_(pa.int64()), "test": pa.bool_()}
    columns = {
        name: pa.array([pair[name] for pair in pairs], kinds.get(name, pa.int64()))
        for name in ("text", "item", "time", "negatives", "test")
    }
    return pa.table(columns | {"origin": pa.array(np.arange(len(pairs)))})


@settings(max_examples=100, deadline=None)
@given(st.lists(PAIR, max_size=20), RULE, st.randoms(use_true_random=False))
def test_caps(pairs, rule, random):
    found = cap(table(pairs), rule)
    reasons = [(*REASONS, "")[code] for code in found.dropped]
    kept = [p for p, reason in zip(pairs, reasons, strict=True) if not reason]
    # Of every text as many as there are, or as many as may be.
    trained = Counter(p["text"] for p in pairs if not p["test"])
    most = rule.max_per_query or len(pairs)
    expected = {text: min(n, most) if text else n for text, n in trained.items()}
    assert Counter(p["text"] for p in kept if not p["test"]) == expected
    # Test pairs are seen in what is kept, and dropped for nothing else.
    known = {(p["text"], p["item"]) for p in kept if not p["test"] and p["text"]}
    seen = [p["test"] and (p["text"], p["item"]) in known for p in pairs]
    assert found.seen.tolist() == seen
    for pair, reason, was_seen in zip(pairs, reasons, seen, strict=True):
        if pair["test"]:
            assert reason == ("seen_in_train" if was_seen and rule.drop_seen else "")
    # The order of the input never matters.
    random.shuffle(pairs)
    again = cap(table(pairs), rule).dropped < 0
    left = [pair for pair, keep in zip(pairs, again, strict=True) if keep]
    plain = [
        Counter(str(sorted(pair.items())) for pair in some) for some in (left, kept)
    ]
    assert plain[0] == plain[1]


def test_kept_pairs_are_of_any_time():
    times = np.arange(1000)
    one = {"item": pa.array(times % 7 + 2), "time": pa.array(times)}
    pairs = pa.table(
        {"text": np.full(1000, 5), "origin": times, "test": np.zeros(1000, bool)} | one
    )
    kept = times[cap(pairs, Pairs(max_per_query=200)).dropped < 0]
    assert len(kept) == 200
    assert 400 < kept.mean() < 600
