"""Batches against one record at a time, byte for byte."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tfmm.errors import TfmmError
from tfmm.records import example_batch
from tfmm.records.example import encode
from tfmm.records.example_batch import framed_examples
from tfmm.records.ragged import Ragged, Texts
from tfmm.records.tfrecord import framed, read_records

INTEGERS = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.sampled_from([s << b for b in range(0, 63, 7) for s in (1, -1)]),
    st.integers(0, 300),
)
TEXTS = st.one_of(st.binary(max_size=6), st.text().map(str.encode), st.just(b"x" * 200))
KINDS = {
    "row": (INTEGERS, lambda x: np.array(x, np.int64)),
    "Größe" + "e" * 130: (
        st.floats(width=32),
        lambda x: np.array(x, np.float32),
    ),
    "text": (TEXTS, list),
}


def ragged(lists, made):
    """The column of many records' lists."""
    flat = made([value for values in lists for value in values])
    offsets = np.cumsum([0, *map(len, lists)])
    return Ragged(Texts.of(flat) if isinstance(flat, list) else flat, offsets)


def one_by_one(records, made):
    return b"".join(
        framed(encode({name: make(record[name]) for name, make in made.items()}))
        for record in records
    )


@st.composite
def batches(draw):
    """Records that have the same features, up to three of every kind."""
    kinds = {f"{name}{i}": kind for name, kind in KINDS.items() for i in range(3)}
    names = draw(st.lists(st.sampled_from([*kinds]), min_size=1, unique=True))
    record = st.fixed_dictionaries(
        {name: st.lists(kinds[name][0], max_size=4) for name in names}
    )
    return draw(st.lists(record, max_size=8)), {n: kinds[n][1] for n in names}


@settings(max_examples=60, deadline=None)
@given(batches(), st.sampled_from([1, 20, 1 << 16]))
@example(([], {"row": KINDS["row"][1]}), 1)
def test_a_batch_is_its_records_one_by_one(batch, size):
    records, made = batch
    features = {
        name: ragged([record[name] for record in records], make)
        for name, make in made.items()
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(example_batch, "_SLICE", size)
        parts = list(framed_examples(features))
    assert b"".join(parts) == one_by_one(records, made)
    assert all(parts) and len(parts) <= len(records)


@pytest.mark.parametrize("count", [0, 1, 127, 128, 16_384, 100_000])
def test_lists_of_many_sizes(count):
    """Lengths of one, two and three bytes at every level, and several slices."""
    records = [{"row": [*range(n)], "text": [b"ab"] * n} for n in (count, 0, 1, count)]
    made = {name: KINDS[name][1] for name in ("row", "text")}
    features = {
        name: ragged([record[name] for record in records], make)
        for name, make in made.items()
    }
    assert b"".join(framed_examples(features)) == one_by_one(records, made)


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int32, bool])
def test_integers_of_every_type(kind):
    values = np.array([0, 1, 100]).astype(kind)
    made = framed_examples({"x": Ragged(values, np.array([0, 3]))})
    assert b"".join(made) == framed(encode({"x": values}))


def test_columns_that_start_in_the_middle():
    """Of columns cut out of longer ones, values outside the offsets do not count."""
    column = Ragged(np.arange(9), np.array([2, 4, 4, 7]))
    texts = Ragged(Texts.of([b"a", b"", b"c", b"dd"]), np.array([1, 1, 3, 4]))
    expected = [([2, 3], []), ([], [b"", b"c"]), ([4, 5, 6], [b"dd"])]
    assert b"".join(framed_examples({"x": column, "t": texts})) == b"".join(
        framed(encode({"x": np.array(x, int), "t": t})) for x, t in expected
    )


def test_float64_is_stored_as_float32():
    values = np.array([0.1, 2.0])
    made = framed_examples({"x": Ragged(values, np.array([0, 2]))})
    assert b"".join(made) == framed(encode({"x": values}))


def test_a_file_of_a_batch(tmp_path):
    rows = Ragged(np.array([5, 6]), np.array([0, 1, 2]))
    (tmp_path / "a").write_bytes(b"".join(framed_examples({"row": rows})))
    expected = [encode({"row": np.array([row])}) for row in (5, 6)]
    assert list(read_records(tmp_path / "a")) == expected


@pytest.mark.parametrize("lengths", [(), (1, 2)])
def test_features_of_other_records(lengths):
    features = {f"x{n}": Ragged(np.arange(n), np.arange(n + 1)) for n in lengths}
    with pytest.raises(TfmmError, match="equal length"):
        list(framed_examples(features))
