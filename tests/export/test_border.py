import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.export.border import ids_of, to_batch, to_request
from tfmm.export.inputs import signature_inputs


def assert_same(left, right):
    assert set(left) >= set(right)
    for name, value in right.items():
        np.testing.assert_array_equal(left[name], value, err_msg=name)
        if value.dtype != object:
            assert np.asarray(left[name]).dtype == value.dtype, name


@pytest.mark.parametrize("id_type", ["string", "int64"])
def test_raw_request_becomes_the_batch_written_by_hand(toy, id_type):
    request = toy.request(id_type)
    found = to_batch(request, toy.SPEC, toy.index(id_type), toy.VOCABULARIES)
    assert_same(found, toy.batch())


@pytest.mark.parametrize("id_type", ["string", "int64"])
def test_batch_to_request_and_back(toy, id_type):
    batch = {**toy.batch(), "user_key": np.array([22, 99], np.int64)}
    index = toy.index(id_type)
    request = to_request(batch, toy.SPEC, index, toy.VOCABULARIES)
    wanted = signature_inputs(toy.SPEC, id_type)
    assert list(request) == [i.name for i in wanted]
    assert [v.dtype for v in request.values()] == [i.numpy_dtype for i in wanted]
    assert_same(to_batch(request, toy.SPEC, index, toy.VOCABULARIES), toy.batch())


def test_the_newest_events_of_a_long_history_stay(toy):
    request = toy.request()
    ids = np.array([["a", "b", "c", "d", "e", "f"], ["f", "e", "d", "", "", ""]])
    request["history_item_id"] = ids.astype(object)
    request["history_type"] = np.full((2, 6), "click", object)
    request["n_history"] = np.array([6, 2], np.int32)
    found = to_batch(request, toy.SPEC, toy.index(), toy.VOCABULARIES)
    # max_history is 4: c d e f have rows 4 5 6 7; f e of the second have 7 6.
    assert found["history_item"].tolist() == [[4, 5, 6, 7], [7, 6, 0, 0]]
    assert found["n_history"].tolist() == [4, 2]


def test_empty_axes_become_one_wide(toy):
    request = toy.request()
    for name in ("history_item_id", "history_type", "item_id", "candidate_color"):
        request[name] = np.zeros((2, 0), object)
    request["candidate_price"] = np.zeros((2, 0), np.float32)
    request["n_history"] = np.array([0, 5], np.int32)
    found = to_batch(request, toy.SPEC, toy.index(), toy.VOCABULARIES)
    assert found["item"].tolist() == [[0], [0]]
    assert found["history_item"].tolist() == [[0], [0]]
    assert found["n_history"].tolist() == found["n_items"].tolist() == [0, 0]


def test_nan_is_a_missing_number(toy):
    request = toy.request()
    request["context_delay"] = np.array([np.nan, np.inf], np.float32)
    request["candidate_price"] = np.array([[np.nan, 2, 3], [4, 5, 6]], np.float32)
    found = to_batch(request, toy.SPEC, toy.index(), toy.VOCABULARIES)
    assert found["context_delay"].tolist() == [0, np.inf]
    assert found["candidate_price"].tolist() == [[0, 2, 3], [4, 0, 0]]


def test_an_unknown_int64_id_is_one_the_index_lacks(toy):
    index = toy.index("int64").extend(["-1"])
    assert ids_of(np.array([[1, 2]]), index).tolist() == [[-2, 10]]


def test_an_incomplete_sample_is_refused(toy):
    with pytest.raises(TfmmError, match=r"lacks `user_key`. Received"):
        to_request(toy.batch(), toy.SPEC, toy.index(), toy.VOCABULARIES)
