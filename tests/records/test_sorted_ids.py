"""Searching integer ids: the same places as bisection, whatever the ids are like."""

import numpy as np
import pyarrow as pa
import pytest

from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.sorted_ids import SortedIds

ENDS = np.array([-(2**63), -1, 0, 1, 2**63 - 1])


def hashed(rng, n):
    return np.unique(rng.integers(-(2**63), 2**63 - 1, n))


def in_lumps(rng, n):
    return np.unique(np.concatenate([rng.integers(0, n, n), hashed(rng, 5)]))


@pytest.mark.parametrize("spread", [hashed, in_lumps, lambda rng, n: np.arange(n)])
@pytest.mark.parametrize("n", [1, 2, 1000, 30_000])
def test_places_equal_a_dictionary(spread, n):
    rng = np.random.default_rng(0)
    ids = spread(rng, n)
    asked = np.concatenate([rng.permutation(ids), ids[:50] + 1, ids[:50] - 1, ENDS])
    place = {number: i for i, number in enumerate(ids.tolist())}
    expected = [place.get(number, -1) for number in asked.tolist()]
    assert SortedIds(ids).places(asked).tolist() == expected


def test_nothing_is_found_among_no_ids():
    assert SortedIds(np.zeros(0, np.int64)).places(ENDS).tolist() == [-1] * 5


def test_an_index_of_integers_is_the_index_of_their_texts(tmp_path):
    numbers = np.array([12, -5, 900, 7])
    own = ItemIndex.of_integers(numbers)
    texts = ItemIndex.create([str(n) for n in numbers], "int64")
    assert own.stamp() == texts.stamp() and own.ids == texts.ids
    own.save(tmp_path / "own")
    again = ItemIndex.open(tmp_path / "own")
    assert again.ids == ["-5", "7", "12", "900"] and again.id_of(2) == "-5"
    for index in (own, texts, again):
        for asked in (np.array([900, 8]), ["900", "x"], pa.array([900, None])):
            assert index.rows_of(asked).tolist() == [5, 1]
    grown = again.extend(["3", "7"])
    assert grown.ids == ["-5", "7", "12", "900", "3"]
    grown.save(tmp_path / "grown")
    # The appended id stands after larger ones: places follow the order of rows.
    late = ItemIndex.open(tmp_path / "grown")
    assert late.rows_of(np.array([3, 900, 4])).tolist() == [6, 5, 1]
    late.check(own.stamp(), "The output")


def test_integers_beyond_int64_stay_texts(tmp_path):
    ItemIndex([str(2**63)], "int64").save(tmp_path / "index")
    assert ItemIndex.open(tmp_path / "index").rows_of([str(2**63)]).tolist() == [2]


def test_repeated_integers_are_refused():
    with pytest.raises(TfmmError, match="1 repeated ids"):
        ItemIndex(np.array([4, 4, 5]), "int64")
