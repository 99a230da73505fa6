"""Precomputed vectors, as they are and projected."""

import keras
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tensorflow as tf

import tfmm
from tfmm.encoders import Encoder, VectorEncoder
from tfmm.encoders.layers import UnitVector
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex

MATRIX = np.array([[3, 4], [0, 0], [np.nan, 1], [0, 2]], np.float32)
IDS = ["b", "a", "c", "other"]


def test_as_they_are():
    encoder = tfmm.encoders.vectors(MATRIX, ids=IDS)
    assert (encoder.modality, encoder.dimension) == ("vector", 2)
    assert not encoder.tower.trainable_variables
    # Zeros and NaN are no vectors; (3, 4) has length 5.
    expected = [[0.6, 0.8], [0, 0], [0, 0], [0, 1]]
    np.testing.assert_allclose(encoder.embed(), expected, atol=1e-6)
    np.testing.assert_allclose(encoder.embed(batch_size=3), expected, atol=1e-6)


@pytest.mark.parametrize("factor", [1e30, 1e-30, 1e-36])
def test_length_one_whatever_the_numbers_size(factor):
    matrix = np.random.default_rng(0).normal(size=(5, 4))
    plain = tfmm.encoders.vectors(matrix, ids=range(5)).embed()
    found = tfmm.encoders.vectors(matrix * factor, ids=range(5)).embed()
    np.testing.assert_allclose(found, plain, atol=1e-5)
    expected = matrix / np.linalg.norm(matrix, axis=1, keepdims=True)
    np.testing.assert_allclose(plain, expected, atol=1e-6)


def test_gradient_of_the_length_is_that_of_keras():
    x = tf.Variable([[3.0, -4.0], [0.1, 0.2]])
    gradients = []
    for layer in (UnitVector(), keras.layers.UnitNormalization()):
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer(x) * [[1.0, 2.0]])
        gradients.append(tape.gradient(loss, x))
    np.testing.assert_allclose(*gradients, atol=1e-5)


def test_by_catalog_row():
    encoder = tfmm.encoders.vectors(MATRIX, ids=IDS)
    table, present = encoder.rows(ItemIndex.create(["a", "b", "c", "d"]))
    # Rows 2 to 5 are a, b, c, d; only b has a usable vector, "other" is no item.
    assert present.tolist() == [False, False, False, True, False, False]
    assert table.tolist() == [[0, 0], [0, 0], [0, 0], [3, 4], [0, 0], [0, 0]]
    assert table.dtype == np.float32
    with pytest.raises(TfmmError, match="No vector belongs to an item"):
        encoder.rows(ItemIndex.create(["x"]))


def test_from_files_and_index(tmp_path):
    np.save(tmp_path / "matrix.npy", MATRIX)
    table = pa.table({"item": IDS, "vector": MATRIX.tolist()})
    pq.write_table(table, tmp_path / "matrix.parquet")
    index = ItemIndex.create(["a", "b", "c", "other"])
    for encoder, ids in (
        (tfmm.encoders.vectors(tmp_path / "matrix.npy", ids=IDS), IDS),
        (tfmm.encoders.vectors(tmp_path / "matrix.parquet"), IDS),
        (tfmm.encoders.vectors(MATRIX, index=index), index.ids),
    ):
        np.testing.assert_array_equal(encoder.matrix, MATRIX)
        assert encoder.ids == ids


@pytest.mark.parametrize("projection", ["linear", "mlp"])
def test_trained_projection(projection, tmp_path):
    keras.utils.set_random_seed(0)
    encoder = tfmm.encoders.vectors(MATRIX, ids=IDS, dimension=3, projection=projection)
    vectors = encoder.embed()
    np.testing.assert_allclose(np.linalg.norm(vectors[[0, 3]], axis=1), 1, atol=1e-6)
    assert not vectors[[1, 2]].any()
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    assert isinstance(again, VectorEncoder)
    np.testing.assert_array_equal(again.embed(), vectors)
    np.testing.assert_array_equal(again.matrix, encoder.matrix)
    assert (again.digest, again.ids) == (encoder.digest, encoder.ids)
    new = encoder.new_tower()
    assert [w.shape for w in new.weights] == [w.shape for w in encoder.tower.weights]


def test_linear_projection_starts_with_the_cosines_as_they_were():
    matrix = np.random.default_rng(0).normal(size=(6, 5)).astype(np.float32)
    before = tfmm.encoders.vectors(matrix, ids=range(6)).embed()
    after = tfmm.encoders.vectors(matrix, ids=range(6), projection="linear").embed()
    np.testing.assert_allclose(after @ after.T, before @ before.T, atol=1e-5)


def test_digest_follows_the_numbers_unless_they_have_a_name():
    def digest(matrix, **options):
        return tfmm.encoders.vectors(matrix, ids=IDS, **options).digest

    other = MATRIX + 1
    assert digest(MATRIX) == digest(MATRIX.copy())
    assert digest(MATRIX) != digest(other)
    assert digest(MATRIX, source="clip-1") == digest(other, source="clip-1")
    assert digest(MATRIX, source="clip-1") != digest(MATRIX, source="clip-2")


def test_into_a_catalog():
    encoder = tfmm.encoders.vectors(MATRIX, ids=IDS)
    catalog = tfmm.Catalog.from_vectors(
        encoder.ids, encoder.embed(), name="mine", version=encoder.source
    )
    assert catalog.modalities["vector"].present.sum() == 2


def test_vectors_that_cannot_be():
    with pytest.raises(TfmmError, match="needs the items' ids"):
        tfmm.encoders.vectors(MATRIX)
    with pytest.raises(TfmmError, match=r"3 ids and 4 vectors"):
        tfmm.encoders.vectors(MATRIX, ids=IDS[:3])
    with pytest.raises(TfmmError, match=r"need a projection.*dimension=7"):
        tfmm.encoders.vectors(MATRIX, ids=IDS, dimension=7)
    with pytest.raises(TfmmError, match="no projection 'deep'"):
        tfmm.encoders.vectors(MATRIX, ids=IDS, projection="deep")
