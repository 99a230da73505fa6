import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers import (
    HistorySearch,
    cosine_similarity,
    most_similar,
    same_category,
    valid_mask,
)


def _similarity(*shape):
    values = np.random.default_rng(sum(shape)).uniform(-1, 1, shape)
    return values.astype("float32")


def _numpy(pair):
    return tuple(ops.convert_to_numpy(part) for part in pair)


def _plain_search(similarity, mask, k):
    """Sorted by similarity and then from new to old; the first k, from old to new."""
    indices, found = (np.zeros([*mask.shape[:-1], k], t) for t in ("int32", "bool"))
    for row in np.ndindex(mask.shape[:-1]):
        valid = np.flatnonzero(mask[row])
        best = sorted(valid, key=lambda i: (-similarity[row][i], -i))[:k]
        indices[row][: len(best)] = sorted(best)
        found[row][: len(best)] = True
    return indices, found


def test_most_similar_by_hand():
    similarity = np.array([[[0.5, 0.9, -0.2, 0.7], [-0.9, -0.8, -0.7, 1.0]]], "float32")
    mask = np.array([[[True] * 4, [True, True, True, False]]])
    indices, found = _numpy(most_similar(similarity, mask, 2))
    # 0.9 and 0.7; the cosine 1 of the second candidate is masked: -0.8 and -0.7
    assert indices.tolist() == [[[1, 3], [1, 2]]]
    assert found.all() and indices.dtype == "int32" and found.dtype == "bool"


def test_of_equals_the_newest_wins():
    similarity = np.array([[[0.3, 0.3, 0.8, 0.3, 0.3]]], "float32")
    indices, _ = _numpy(most_similar(similarity, np.ones([1, 1, 5], bool), 3))
    assert indices.tolist() == [[[2, 3, 4]]]


def test_k_above_l_and_too_few_are_padded_at_the_end():
    mask = np.array([[[False, True, False, True]], [[False] * 4]])
    indices, found = _numpy(most_similar(_similarity(2, 1, 4), mask, 6))
    assert indices.tolist() == [[[1, 3, 0, 0, 0, 0]], [[0] * 6]]
    assert found.tolist() == [[[True, True] + [False] * 4], [[False] * 6]]


@pytest.mark.parametrize("k", [1, 7, 40, 50])
def test_equals_a_plain_search(k):
    similarity = np.round(_similarity(3, 4, 40), 1)  # ties
    mask = np.random.default_rng(0).random([3, 4, 40]) < 0.7
    found = _numpy(most_similar(similarity, mask, k))
    for actual, expected in zip(found, _plain_search(similarity, mask, k), strict=True):
        np.testing.assert_array_equal(actual, expected)


def test_padding_and_batch_order_never_matter():
    similarity = np.round(_similarity(4, 3, 9), 1)
    mask = np.random.default_rng(1).random([4, 3, 9]) < 0.6
    expected = _numpy(most_similar(similarity, mask, 4))
    wider = np.concatenate([similarity, np.full([4, 3, 5], np.nan, "f4")], -1)
    wider[:, :, :9][~mask] = np.nan
    longer = np.concatenate([mask, np.zeros([4, 3, 5], bool)], -1)
    order = [2, 0, 3, 1]
    for part, actual, moved in zip(
        expected,
        _numpy(most_similar(wider, longer, 4)),
        _numpy(most_similar(similarity[order], mask[order], 4)),
        strict=True,
    ):
        np.testing.assert_array_equal(actual, part)
        np.testing.assert_array_equal(moved, part[order])


@pytest.mark.parametrize("compiled", [False, True])
def test_same_in_a_graph_of_unknown_length(compiled):
    @tf.function(
        jit_compile=compiled,
        input_signature=[
            tf.TensorSpec([None, None, None], tf.float32),
            tf.TensorSpec([None, None, None], tf.bool),
        ],
    )
    def search(similarity, mask):
        return most_similar(similarity, mask, 5)

    for length in (3, 12):
        similarity = np.round(_similarity(2, 2, length), 1)
        mask = np.random.default_rng(length).random([2, 2, length]) < 0.8
        expected = _plain_search(similarity, mask, 5)
        for actual, part in zip(
            _numpy(search(similarity, mask)), expected, strict=True
        ):
            np.testing.assert_array_equal(actual, part)


def test_same_category_by_hand():
    history = np.array([[7, 2, 7, 0, 7, 7], [7, 7, 2, 2, 2, 2]])
    mask = np.array([[True] * 5 + [False], [True] * 6])
    candidates = np.array([[7, 0, 9], [7, 2, 0]])
    indices, found = _numpy(same_category(candidates, history, mask, 2))
    # The newest two of 0, 2, 4 (5 is padding); 0 is missing and 9 unknown.
    assert indices[0].tolist() == [[2, 4], [0, 0], [0, 0]]
    assert found[0].tolist() == [[True, True], [False, False], [False, False]]
    assert indices[1].tolist() == [[0, 1], [4, 5], [0, 0]]
    one = _numpy(same_category(candidates[:, 0], history, mask, 2))
    np.testing.assert_array_equal(one[0], indices[:, 0])


def test_layer_searches_by_vectors_of_any_dtype():
    rng = np.random.default_rng(3)
    candidates, history = (
        rng.integers(-127, 128, [2, n, 8]).astype("int8") for n in (3, 9)
    )
    mask = np.array(valid_mask([9, 5], 9))
    pairs = np.broadcast_to(mask[:, None], [2, 3, 9])
    similarity = ops.convert_to_numpy(cosine_similarity(candidates, history))
    expected = _plain_search(similarity, pairs, 4)
    layer = HistorySearch(4, dtype="mixed_bfloat16")
    for inputs in (
        (candidates, history, mask),
        (candidates.astype("f4"), history.astype("f4"), pairs),
    ):
        for actual, part in zip(_numpy(layer(*inputs)), expected, strict=True):
            np.testing.assert_array_equal(actual, part)
    single = _numpy(layer(candidates[:, 1], history, mask))
    np.testing.assert_array_equal(single[0], expected[0][:, 1])


def test_nothing_flows_back():
    history = tf.Variable(_similarity(1, 4, 3))
    with tf.GradientTape() as tape:
        indices, _ = HistorySearch(2)(history[:, :2], history, np.ones([1, 4], bool))
        total = tf.reduce_sum(tf.cast(indices, tf.float32))
    assert tape.gradient(total, history) is None


def test_functional_model_saves_and_loads(tmp_path):
    inputs = (
        keras.Input((None, 4)),
        keras.Input((None, 4)),
        keras.Input((None,), dtype="bool"),
    )
    model = keras.Model(inputs, HistorySearch(3)(*inputs))
    data = _similarity(2, 2, 4), _similarity(2, 7, 4), np.ones([2, 7], bool)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    for actual, expected in zip(loaded.predict(data), model.predict(data), strict=True):
        np.testing.assert_array_equal(actual, expected)
        assert actual.shape == (2, 2, 3)


def test_config_and_bad_arguments():
    layer = HistorySearch.from_config(HistorySearch(7, "category").get_config())
    assert (layer.k, layer.by) == (7, "category")
    for make in (
        lambda: HistorySearch(0),
        lambda: HistorySearch(5, by="title"),
        lambda: most_similar(np.zeros([1, 1, 2], "f4"), np.ones([1, 1, 2], bool), 0),
        lambda: same_category([1], [[1]], [[True]], -1),
    ):
        with pytest.raises(TfmmError, match="Received"):
            make()
