import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain.memory_bank import MemoryBank, default_bank_size


def put(bank, items, mask=None):
    keys = np.repeat(np.array(items, "float32")[:, None], bank.dimension, axis=1)
    bank.enqueue(keys, np.array(items), mask)


def state(bank):
    items = bank.groups.numpy().tolist()
    np.testing.assert_array_equal(bank.keys.numpy()[:, 0], items)
    return items, bank.occupied().numpy().tolist()


def test_wraps_around_when_the_batch_does_not_divide_the_size():
    bank = MemoryBank(5, 2)
    put(bank, [11, 12])
    assert state(bank) == ([11, 12, 0, 0, 0], [True, True, False, False, False])
    put(bank, [13, 14])
    put(bank, [15, 16])  # 16 takes the oldest slot, that of 11.
    assert state(bank) == ([16, 12, 13, 14, 15], [True] * 5)
    assert (int(bank.head), int(bank.filled)) == (1, 5)


def test_of_a_larger_batch_the_newest_stay():
    bank = MemoryBank(3, 1)
    put(bank, [1])
    put(bank, [2, 3, 4, 5, 6, 7, 8])
    # Slot of the n-th key ever put in: n mod 3.
    assert state(bank) == ([7, 8, 6], [True] * 3)
    put(bank, [9])
    assert state(bank) == ([7, 8, 9], [True] * 3)


def test_only_rows_of_the_mask_are_put_in():
    bank = MemoryBank(3, 1)
    put(bank, [1, 2, 3], np.array([True, False, True]))
    assert state(bank) == ([1, 3, 0], [True, True, False])
    put(bank, [4, 5], np.array([False, False]))
    assert state(bank) == ([1, 3, 0], [True, True, False])


def test_equals_a_python_deque_for_random_batches():
    random = np.random.default_rng(3)
    bank, kept = MemoryBank(7, 1), []
    step = tf.function(lambda items, mask: put_tensor(bank, items, mask))
    for count in random.integers(1, 20, 12):
        items = random.integers(2, 99, count).astype("int32")
        mask = random.random(count) < 0.6
        step(tf.constant(items), tf.constant(mask))
        kept = (kept + items[mask].tolist())[-7:]
        live = bank.groups.numpy()[bank.occupied().numpy()]
        assert sorted(live) == sorted(kept)


def put_tensor(bank, items, mask):
    bank.enqueue(tf.cast(items, tf.float32)[:, None], items, mask)


def test_sizes():
    assert default_bank_size(100) == 400
    assert default_bank_size(10**9) == 196_800
    with pytest.raises(TfmmError, match="at least one slot"):
        MemoryBank(0, 4)
    with pytest.raises(TfmmError, match="no size yet"):
        MemoryBank(None, 4).build()


def test_ages_count_enqueueings():
    bank = MemoryBank(4, 1)
    assert bank.age() == {"mean": 0.0, "max": 0.0, "fill": 0.0}
    put(bank, [7, 8])
    put(bank, [9])
    # Two keys two enqueueings old, one of the last.
    assert bank.age() == {"mean": 5 / 3, "max": 2.0, "fill": 0.75}
    put(bank, [5, 5], np.array([False, False]))
    put(bank, [4, 3])  # 3 takes the slot of 7.
    assert bank.steps.numpy().tolist() == [4, 1, 2, 4]
    assert bank.age() == {"mean": (4 + 3 + 1 + 1) / 4, "max": 4.0, "fill": 1.0}


def test_is_saved_and_goes_on_where_it_was(tmp_path):
    def model():
        bank = MemoryBank(3, 2)
        return keras.Sequential([keras.Input((2,)), Holder(bank)]), bank

    saved, bank = model()
    put(bank, [7, 8])
    put(bank, [9, 10])
    saved.save_weights(tmp_path / "bank.weights.h5")
    loaded, restored = model()
    loaded.load_weights(tmp_path / "bank.weights.h5")
    for both in (bank, restored):
        put(both, [11])
    assert state(restored) == state(bank) == ([10, 11, 9], [True] * 3)
    assert restored.age() == bank.age()


class Holder(keras.layers.Layer):
    def __init__(self, bank):
        super().__init__()
        self.bank = bank

    def call(self, inputs):
        return inputs
