import dataclasses

import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.row_maps import RowMap, row_maps, value_rows
from tfmm.records.spec import Feature, RequestSpec
from tfmm.records.vocabularies import ItemTable, Vocabularies


def vocabularies(index, embedding_row, users=("a",), types=("view",)):
    rows = np.array(embedding_row, np.int32)
    none = np.zeros([len(rows), 0])
    table = ItemTable(rows, none, none, np.zeros(len(rows)))
    spec = RequestSpec(
        len(users) + 2, rows.max() + 1, len(rows), (), types, ("click",), 5, 5
    )
    return Vocabularies({"user": list(users)}, table, spec, index.stamp())


def test_values_are_found_by_name():
    rows = value_rows(["b", "a", "gone"], ["a", "new", "b"])
    # codes: old b 2, a 3, gone 4; new a 2, new 3, b 4
    assert rows.source.tolist() == [0, 1, 3, -1, 2]
    assert rows.counts == (2, 1, 1)
    assert value_rows([], []).counts == (0, 0, 0)


def test_rows_go_where_their_ids_went():
    rows = RowMap(np.array([0, 1, 3, -1, 2]), old_rows=5)
    old, new = np.arange(10.0).reshape(5, 2), np.full([5, 2], -7.0)
    expected = [[0, 1], [2, 3], [6, 7], [-7, -7], [4, 5]]
    assert rows.carried(new, old).tolist() == expected
    assert (new == -7).all()


def test_items_are_found_by_their_catalog_row():
    index = ItemIndex.create(["a", "b", "c"])  # catalog rows 2, 3, 4
    grown = index.extend(["d", "e"])
    # a and c had rows of their own; now a is too rare, b is not, d is new, e is rare
    old = vocabularies(index, [0, 1, 2, 1, 3], ("x", "y"), ("order", "view"))
    new = vocabularies(grown, [0, 1, 1, 2, 3, 4, 1], ("y", "x", "z"), ("cart", "order"))
    maps = row_maps(old, new, grown)
    assert maps["item"].source.tolist() == [0, 1, -1, 3, -1]
    assert maps["item"].counts == (1, 2, 1)
    assert maps["user"].source.tolist() == [0, 1, 3, 2, -1]
    assert maps["event_type"].counts == (1, 1, 1)


def test_only_an_index_that_grew_from_the_old_one():
    index = ItemIndex.create(["a", "b"])
    grown, other = index.extend(["c"]), ItemIndex.create(["a", "x"])
    old, new = vocabularies(index, [0, 1, 2, 3]), vocabularies(grown, [0, 1, 2, 3, 4])
    with pytest.raises(TfmmError, match=r"with 5 rows, new lineage \w+ with 4 rows"):
        row_maps(new, old)
    with pytest.raises(TfmmError, match="must belong to the old ones' item index"):
        row_maps(old, vocabularies(other, [0, 1, 2, 3]))
    branch = index.extend(["d"])
    stamped = dataclasses.replace(old, index_stamp=branch.stamp())
    with pytest.raises(TfmmError, match="The old vocabulary names other items"):
        row_maps(
            stamped,
            vocabularies(grown.extend(["e"]), [0, 1, 2, 3, 4, 5]),
            grown.extend(["e"]),
        )


def test_hashed_codes_come_last_and_keep_their_meaning():
    index = ItemIndex.create(["a", "b"])
    base = vocabularies(index, [0, 1, 2, 3])

    def of(cities, buckets):
        size = len(cities) + 2 + buckets
        city = Feature("city", "categorical", "user", size, hash_buckets=buckets)
        spec = dataclasses.replace(base.spec, features=(city,))
        values = {**base.values, "user_city": cities}
        return dataclasses.replace(base, spec=spec, values=values)

    # codes: old x 2, y 3, hashed 4 to 6; new y 2, z 3, x 4, hashed 5 to 7
    rows = row_maps(of(["x", "y"], 3), of(["y", "z", "x"], 3))["user_city"]
    assert rows.source.tolist() == [0, 1, 3, -1, 2, 4, 5, 6]
    assert (rows.old_rows, rows.counts) == (7, (5, 1, 0))
    # With another number of them each stands for other values: all are new.
    rows = row_maps(of(["x"], 3), of(["x"], 2))["user_city"]
    assert rows.source.tolist() == [0, 1, 2, -1, -1]
    assert rows.counts == (1, 2, 3)
