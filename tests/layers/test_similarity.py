import numpy as np
from keras import ops

from tfmm.layers import HistorySimilarity, cosine_similarity, inverse_norms


def _codes(shape):
    return np.random.default_rng(0).integers(-127, 128, shape).astype("int8")


def test_integer_codes_equal_float64_cosines():
    candidates, history = _codes([3, 2, 128]), _codes([3, 5, 128])
    similarity, mask = HistorySimilarity()(
        candidates,
        history,
        np.ones([3, 2], bool),
        np.ones([3, 5], bool),
        inverse_norms(candidates),
        inverse_norms(history),
    )
    exact = np.einsum("bnd,bld->bnl", candidates.astype("f8"), history.astype("f8"))
    exact /= np.linalg.norm(candidates.astype("f8"), axis=-1)[:, :, None]
    exact /= np.linalg.norm(history.astype("f8"), axis=-1)[:, None, :]
    np.testing.assert_allclose(ops.convert_to_numpy(similarity), exact, atol=1e-6)
    assert ops.convert_to_numpy(mask).all()


def test_same_bits_for_every_batch_shape():
    candidates, history = _codes([4, 3, 64]), _codes([4, 7, 64])
    whole = ops.convert_to_numpy(cosine_similarity(candidates, history))
    part = ops.convert_to_numpy(cosine_similarity(candidates[2:3, 1:2], history[2:3]))
    assert part.tobytes() == whole[2:3, 1:2].tobytes()


def test_absent_vectors_are_masked_and_single_candidates_work():
    codes = np.array([[[3, 4], [0, 0]]], "int8")
    similarity, mask = HistorySimilarity()(
        np.array([[3, 4]], "int8"), codes, np.array([True]), codes.any(-1)
    )
    # cos((3, 4), (3, 4)) = 1; the second position has no vector
    np.testing.assert_allclose(
        ops.convert_to_numpy(similarity), [[1.0, 0.0]], atol=1e-6
    )
    assert ops.convert_to_numpy(mask).tolist() == [[True, False]]


def test_mixed_precision_keeps_float32():
    layer = HistorySimilarity(dtype="mixed_bfloat16")
    candidates, history = _codes([1, 1, 8]), _codes([1, 1, 8])
    norms = inverse_norms(candidates), inverse_norms(history)
    ones = np.ones([1, 1], bool)
    similarity, _ = layer(candidates, history, ones, ones, *norms)
    assert similarity.dtype == "float32"
    expected = cosine_similarity(candidates, history, *norms)
    assert float(similarity[0, 0, 0]) == float(expected[0, 0, 0])
