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


def test_hashed_values_keep_their_rows():
    index = ItemIndex.create(["a", "b"])
    base = vocabularies(index, [0, 1, 2, 3])

    def hashed(size):
        features = (Feature("city", "categorical", "user", size),)
        spec = dataclasses.replace(base.spec, features=features)
        return dataclasses.replace(base, spec=spec)

    maps = row_maps(hashed(5), hashed(5))
    assert maps["user_city"].source.tolist() == [0, 1, 2, 3, 4]
    with pytest.raises(TfmmError, match="with 5 old and 6 new codes"):
        row_maps(hashed(5), hashed(6))
