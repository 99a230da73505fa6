"""Training pairs that are the test's, or that cannot be judged, are refused."""

import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.records import leak
from tfmm.records.example import encode
from tfmm.records.leak import check_items, check_pairs
from tfmm.records.manifest import write_manifest
from tfmm.records.sources import CLICKED, ITEM, SEARCH
from tfmm.records.tfrecord import write_records

DAY = 86_400_000_000


def pair(item=2, **numbers):
    columns = {name: np.array([value]) for name, value in numbers.items()}
    return encode({"item": np.array([item]), "query_text": [b"red"], **columns})


def folder_of(path, pairs):
    path.mkdir()
    write_records(path / "pairs-0.tfrecord", pairs)
    write_manifest(path, kind="pairs", counts={"written": len(pairs)})
    return path


@pytest.mark.parametrize(
    ("pairs", "received"),
    [
        ([pair()] * 3, "3 of 3 pairs"),
        ([pair(), pair(time=0)], "1 of 2 pairs"),
        ([pair(source=CLICKED, query_item=3)], "1 of 1 pairs"),
        # No pair of an item with itself, whatever it calls itself.
        ([pair(source=ITEM), pair(source=ITEM, query_item=3)], "2 of 2 pairs"),
    ],
)
def test_pairs_without_a_time_cannot_be_judged(tmp_path, pairs, received):
    folder = folder_of(tmp_path / "mine", pairs)
    with pytest.raises(TfmmError, match=f"nobody can tell.*{received} without"):
        check_pairs(folder, 5)


def test_the_name_of_a_source_excuses_no_late_pair(tmp_path):
    late = pair(time=3 * DAY, source=ITEM, query_item=7)
    folder = folder_of(tmp_path / "mine", [pair(time=DAY, source=SEARCH), late])
    with pytest.raises(TfmmError, match=r"Received: 1 of 2 .* 1970-01-04T00:00:00"):
        check_pairs(folder, 2 * DAY)
    assert check_pairs(folder, 4 * DAY) == 2


@pytest.mark.parametrize("unit", [1_000, 1_000_000])
def test_times_of_another_unit_are_no_early_times(tmp_path, unit):
    last = 19_000 * DAY
    folder = folder_of(tmp_path / "mine", [pair(time=last // unit), pair(time=1)])
    with pytest.raises(TfmmError, match=r"not microseconds .* which is 1970-01-\d\d"):
        check_pairs(folder, last + DAY)
    # A pair of our time among them: then the others are early indeed.
    (folder / "manifest.json").unlink()
    write_records(folder / "pairs-1.tfrecord", [pair(time=last)])
    write_manifest(folder, kind="pairs", counts={"written": 3})
    assert check_pairs(folder, last + DAY) == 3


def test_pairs_of_items_with_themselves_need_no_time(tmp_path):
    own = [
        pair(7, source=ITEM, query_item=7),
        pair(8, time=0, source=ITEM, query_item=8),
    ]
    folder = folder_of(tmp_path / "mine", [*own, pair(time=4)])
    assert check_pairs(folder, 5) == 1


def test_items_of_the_test_are_refused(tmp_path):
    def own(row):
        return pair(row, time=0, source=ITEM, query_item=row)

    mine = folder_of(tmp_path / "mine", [*map(own, (4, 5, 6, 5)), pair(9, time=1)])
    # Item 9 is in the test and in training by a search alone.
    others = folder_of(tmp_path / "others", [own(3), own(9), pair(4, time=9)])
    check_items(mine, others)
    assert check_pairs(mine, 5, test=others) == 1
    test = folder_of(tmp_path / "test", [own(5), own(3), pair(6, time=9)])
    with pytest.raises(TfmmError, match=r"2 of 4 such pairs, of 1 of 2 items kept"):
        check_pairs(mine, 5, test=test)
    assert check_pairs(mine, 5) == 1


def test_many_batches_and_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(leak, "_BATCH", 3)
    times = [pair(time=moment) for moment in range(10)]
    assert check_pairs(folder_of(tmp_path / "many", times), 10) == 10
    (tmp_path / "none").mkdir()
    write_manifest(tmp_path / "none", kind="pairs", counts={"written": 0})
    assert check_pairs(tmp_path / "none", 1) == 0


def test_damaged_records(tmp_path):
    folder = folder_of(tmp_path / "mine", [b"no example", pair(time=1)])
    with pytest.raises(TfmmError, match="no readable pair records"):
        check_pairs(folder, 5)
