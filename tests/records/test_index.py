import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmm.errors import TfmmError
from tfmm.records.id_column import IdColumn
from tfmm.records.index import ItemIndex


def test_rows_of_any_sequence():
    index = ItemIndex.create(["10", "9"], "int64")
    assert index.ids == ["9", "10"]  # integers sort as integers
    for ids in ([9, 10, 11], np.array([9, 10, 11]), ["9", "10", "11"]):
        rows = index.rows_of(ids)
        assert rows.tolist() == [2, 3, 1] and rows.dtype == np.int32
    assert index.rows_of(pa.array(["9", None])).tolist() == [2, 1]
    assert index.rows_of(pa.chunked_array([["9"], ["10"]])).tolist() == [2, 3]
    assert index.rows_of([]).tolist() == []
    assert [index.id_of(row) for row in (0, 1, 2)] == ["", "", "9"]


def test_rows_stay_when_ids_come_and_go():
    index = ItemIndex.create(["b", "d"])
    grown = index.extend(["a", "d", "c"])  # b is gone
    assert grown.ids == ["b", "d", "a", "c"]
    assert grown.lineage == index.lineage
    grown.check(index.stamp(), "records")


def test_other_lineage_branch_and_length_are_refused():
    index = ItemIndex.create(["a"])
    with pytest.raises(TfmmError, match=r"another item index.*lineage"):
        index.check(ItemIndex.create(["b"]).stamp(), "`records`")
    with pytest.raises(TfmmError, match=r"`records` knows more items.*3 rows.*4 rows"):
        index.check(index.extend(["b"]).stamp(), "`records`")
    with pytest.raises(TfmmError, match="another branch"):
        index.extend(["b"]).check(index.extend(["c"]).stamp(), "`records`")


def test_save_and_open(tmp_path):
    index = ItemIndex.create(["1", "2"], "int64").extend(["0"])
    index.save(tmp_path / "index")
    again = ItemIndex.open(tmp_path / "index")
    assert again.ids == ["1", "2", "0"]
    assert again.stamp() == index.stamp() and again.id_type == "int64"


def test_ids_that_are_not_what_the_manifest_says(tmp_path):
    ItemIndex.create(["a", "b"]).save(tmp_path / "index")
    ItemIndex.create(["b", "c"]).save(tmp_path / "other")
    other = (tmp_path / "other" / "ids.parquet").read_bytes()
    (tmp_path / "index" / "ids.parquet").write_bytes(other)
    with pytest.raises(TfmmError, match=r"names other items|not what its manifest"):
        ItemIndex.open(tmp_path / "index")


def test_wrong_arguments():
    with pytest.raises(TfmmError, match="1 repeated"):
        ItemIndex(["a", "a"])
    with pytest.raises(TfmmError, match="Received: 'uint8'"):
        ItemIndex(["a"], "uint8")


IDS = st.one_of(
    st.integers(-(2**64), 2**64).map(str),
    st.integers(0, 9).map(str),
    st.sampled_from(["007", "+1", " 1", "1 ", "-0", "1e3", "1.0", "", "x", "١"]),
)


@settings(deadline=None)
@given(st.lists(IDS, max_size=5))
def test_integers_held_as_numbers_are_found_by_the_same_texts(ids):
    known = [*range(10), -5, 1000, 2**63 - 1, -(2**63)]
    numbers, texts = IdColumn(np.array(known)), IdColumn([str(x) for x in known])
    expected = [known.index(int(x)) if x in map(str, known) else -1 for x in ids]
    for given_as in (ids, pa.array(ids, pa.string())):
        assert numbers.places(given_as).tolist() == expected
        assert texts.places(given_as).tolist() == expected


def test_a_missing_id_is_none_of_them():
    ids = pa.array(["3", None], pa.string())
    assert IdColumn(np.array([3])).places(ids).tolist() == [0, -1]
