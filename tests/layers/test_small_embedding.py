import keras
import numpy as np
from keras import ops

from tfmm.layers import Embedding, SmallEmbedding, gather_distinct


def test_equals_the_gathering_embedding():
    gathering, small = Embedding(5, 3), SmallEmbedding(5, 3)
    gathering.build()
    small.build()
    small.set_weights(gathering.get_weights())
    ids = np.array([[0, 1, 4], [4, 4, 2]])
    np.testing.assert_allclose(small(ids), gathering(ids), rtol=1e-6)


def test_is_restored_with_its_numbers(tmp_path):
    inputs = keras.Input((2,), dtype="int32")
    model = keras.Model(inputs, SmallEmbedding(4, 3)(inputs))
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras")
    ids = np.array([[3, 0]])
    np.testing.assert_array_equal(again(ids), model(ids))


def test_mixed_precision():
    layer = SmallEmbedding(4, 3, dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(layer(np.array([1])).dtype) == "bfloat16"


def test_distinct_ids_are_embedded_once():
    asked = []

    def embed(ids):
        asked.append(ops.convert_to_numpy(ids).tolist())
        return ops.cast(ids, "float32")[:, None] * ops.array([1.0, 10.0])

    found = gather_distinct(embed, ops.array([[3, 5], [5, 3]]))
    assert asked == [[3, 5]]
    three, five = [3.0, 30.0], [5.0, 50.0]
    assert ops.convert_to_numpy(found).tolist() == [[three, five], [five, three]]
