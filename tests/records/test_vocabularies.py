import numpy as np
import pyarrow as pa
import pytest

from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.spec import RequestSpec
from tfmm.records.vocabularies import Vocabularies, codes_of


def test_codes():
    column = pa.chunked_array([["b", None], ["", "zzz", "a"]])
    assert codes_of(["a", "b"], column).tolist() == [3, 0, 0, 1, 2]
    assert codes_of([], pa.array(["a"])).tolist() == [1]


def test_spec_round_trip(hand_made):
    spec = Vocabularies.open(hand_made[1] / "vocabularies").spec
    assert RequestSpec.from_dict(spec.to_dict()) == spec


def test_another_index_is_refused(hand_made):
    with pytest.raises(TfmmError, match="another item index"):
        Vocabularies.open(hand_made[1] / "vocabularies", ItemIndex.create(["a"]))


def test_save_and_open(hand_made, tmp_path):
    first = Vocabularies.open(hand_made[1] / "vocabularies")
    first.save(tmp_path / "again", {"read": 1, "written": 1})
    again = Vocabularies.open(tmp_path / "again")
    assert again.values == first.values and again.spec == first.spec
    for name in ("embedding_row", "codes", "numbers", "train_count"):
        left, right = getattr(again.items, name), getattr(first.items, name)
        assert left.dtype == right.dtype and np.array_equal(left, right)
