import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfmm.errors import TfmmError
from tfmm.records.example import decode, encode
from tfmm.records.example_columns import columns_of, single_values
from tfmm.records.ragged import Texts
from tfmm.records.tfrecord import framed

KINDS = {"row": "int64", "price": "float32", "title": "bytes"}
RECORD = st.tuples(
    st.lists(st.integers(-(2**63), 2**63 - 1), max_size=5),
    st.lists(st.floats(width=32, allow_nan=False), max_size=4),
    st.lists(st.binary(max_size=200), max_size=4),
)


def encoded(record):
    row, price, title = record
    features = {
        "row": np.array(row, np.int64),
        "price": np.array(price, np.float32),
        "title": title,
    }
    return framed(encode(features))


def lists(column):
    """A feature's values record by record."""
    values = column.values
    if isinstance(values, Texts):
        cuts = zip(values.bounds[:-1], values.bounds[1:], strict=True)
        values = [values.data[a:b].tobytes() for a, b in cuts]
    else:
        values = values.tolist()
    cuts = zip(column.offsets[:-1], column.offsets[1:], strict=True)
    return [values[a:b] for a, b in cuts]


@given(st.lists(RECORD, max_size=6))
def test_columns_are_what_was_encoded(records):
    found = columns_of(b"".join(map(encoded, records)), KINDS)
    for place, name in enumerate(KINDS):
        assert lists(found[name]) == [record[place] for record in records]


GOOD = encoded(([1, 300], [0.5], [b"red", b""]))


@pytest.mark.parametrize("place", range(len(GOOD)))
def test_no_damage_goes_unseen(place):
    data = bytearray(GOOD + GOOD)
    data[place] ^= 0x21
    # The checksum of the length itself is not read: the frames would not fit.
    if 8 <= place < 12:
        return
    with pytest.raises(TfmmError, match="damaged"):
        columns_of(bytes(data), KINDS)


def test_other_features_are_refused():
    for kinds in (
        {"row": "int64"},
        KINDS | {"more": "int64"},
        {**KINDS, "row": "bytes"},
        {"row": "int64", "cost.": "float32", "title": "bytes"},
    ):
        with pytest.raises(TfmmError, match="another version"):
            columns_of(GOOD, kinds)
    with pytest.raises(TfmmError, match="damaged"):
        columns_of(GOOD[:-1], KINDS)


FEATURES = {
    "row": st.integers(-(2**63), 2**63 - 1).map(lambda x: np.array([x])),
    "title": st.binary(max_size=200).map(lambda x: [x]),
    "image": st.binary(max_size=200).map(lambda x: [x]),
    "rows": st.just(np.array([3, 4])),
    "more": st.lists(st.binary(max_size=9), max_size=3),
    "price": st.just(np.array([0.5], np.float32)),
    "none": st.just(np.zeros(0, np.int64)),
}
MIXED = (
    st.fixed_dictionaries(
        {"row": FEATURES["row"]},
        optional={name: made for name, made in FEATURES.items() if name != "row"},
    )
    .flatmap(lambda found: st.permutations(list(found.items())))
    .map(dict)
)


@given(st.lists(MIXED, max_size=5))
def test_single_values_are_those_of_decode(mixed):
    records = [encode(features) for features in mixed]
    texts, rows = single_values(records, ["title", "image"], "row")
    expected = [decode(record) for record in records]
    assert rows.tolist() == [each["row"][0] for each in expected]
    for name in ("title", "image"):
        assert texts[name] == [each.get(name, [b""])[0] for each in expected]


@pytest.mark.parametrize(
    "features",
    [
        {},
        {"title": [b"hat"]},
        {"row": np.array([1, 2])},
        {"row": np.zeros(0, np.int64)},
        {"row": [b"1"]},
        {"row": np.array([1]), "title": [b"a", b"b"]},
        {"row": np.array([1]), "title": np.array([5])},
    ],
)
def test_what_is_no_single_value_is_refused(features):
    records = [encode({"row": np.array([1]), "title": [b"hat"]}), encode(features)]
    with pytest.raises(TfmmError, match="damaged"):
        single_values(records, ["title"], "row")


@given(st.data())
def test_damage_gives_values_or_an_error_that_teaches(data):
    good = encode({"row": np.array([300]), "title": [b"red"], "image": [b"x" * 200]})
    damaged = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(good) - 1))] = data.draw(
            st.integers(0, 255)
        )
    cut = bytes(damaged[: data.draw(st.integers(0, len(good)))])
    try:
        texts, rows = single_values([good, cut, good], ["title"], "row")
    except TfmmError:
        return
    assert len(texts["title"]) == len(rows) == 3
