"""Interrupted fits of SCL go on where they stopped, to the same numbers."""

import keras
import pytest
import tensorflow as tf
from fitted import Press, Stream, interrupt, same

from tfmm.pretrain.scl import SCL


@pytest.mark.slow
def test_scl_with_bank_momentum_and_temperature(make_encoder, make_batch, tmp_path):
    items = [5, 6, 7, 8, 9, 5, 6, 10, 11, 12, 13]
    columns = {
        k: v.numpy() for k, v in make_batch(items, negatives=[*items[1:], 5]).items()
    }
    data = Stream(columns, batch=4).at(0, 0)
    held_out = tf.data.Dataset.from_tensor_slices(columns).batch(4)

    def model():
        scl = SCL(image=make_encoder("image"), bank_size=7, momentum=0.9)
        scl.compile(optimizer=keras.optimizers.AdamW(0.01))
        return scl

    whole = model()
    expected = whole.fit(data.at(0, 0), epochs=3, validation_data=held_out, verbose=0)
    common = {"epochs": 3, "verbose": 0, "validation_data": held_out}
    kept = {"checkpoints": tmp_path, "checkpoint_every": 2}
    with pytest.raises(KeyboardInterrupt):
        model().fit(data, **common, **kept, callbacks=[Press(5, interrupt)])
    again = model()
    history = again.fit(data, **common, **kept)
    same(again, history, whole, expected)
    assert float(again.temperatures["image"].value()) != pytest.approx(0.07, abs=1e-6)
    assert int(again.banks["image"].filled) == 7
