"""One training step: chunks, accumulation, precision, and what must not break it."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain.momentum import Ramp
from tfmm.pretrain.scl import SCL


def compiled(scl, optimizer=None):
    scl.compile(optimizer=optimizer or keras.optimizers.SGD(0.1))
    return scl


@pytest.mark.slow
def test_a_chunked_step_recomputes_dropout_alike(make_encoder, make_batch):
    # Masks of whole and chunked batches are drawn apart, so that the gradient is held
    # against finite differences of the same chunked loss.
    batch = make_batch(range(5, 25), negatives=[50, 0] * 10)

    def loss_with(change):
        keras.utils.set_random_seed(3)
        image = make_encoder("image", dropout=0.3)
        kernel, bias = image.tower.get_weights()[:2]
        image.tower.set_weights([kernel, bias + change, *image.tower.get_weights()[2:]])
        scl = SCL(image=image, bank_size=0, chunk_size=7)
        compiled(scl, keras.optimizers.SGD(1.0))
        loss = scl.train_on_batch(batch, return_dict=True)["loss"]
        return loss, bias + change - image.tower.get_weights()[1]

    _, gradient = loss_with(np.zeros(4, "float32"))
    for place in range(4):
        nudge = np.zeros(4, "float32")
        nudge[place] = 1e-2
        slope = (loss_with(nudge)[0] - loss_with(-nudge)[0]) / 2e-2
        assert slope == pytest.approx(gradient[place], rel=0.02, abs=2e-3)


@pytest.mark.slow
@pytest.mark.parametrize("symmetric", [False, True])
def test_without_dropout_chunks_change_nothing(make_encoder, make_batch, symmetric):
    batches = [
        make_batch(range(5, 45), negatives=[50, 0] * 20, seed=seed) for seed in (1, 2)
    ]
    found = []
    for chunk_size in (None, 7):
        scl = SCL(
            image=make_encoder("image"),
            bank_size=60,
            symmetric=symmetric,
            chunk_size=chunk_size,
        )
        compiled(scl)
        losses = [scl.train_on_batch(b, return_dict=True)["loss"] for b in batches]
        found.append((losses, [v.numpy() for v in scl.variables]))
    np.testing.assert_allclose(found[1][0], found[0][0], rtol=1e-5)
    for whole, parts in zip(found[0][1], found[1][1], strict=True):
        np.testing.assert_allclose(parts, whole, atol=2e-5)


def test_accumulated_steps_move_the_copy_once_and_fill_the_bank_each_time(
    make_encoder, make_batch
):
    optimizer = keras.optimizers.SGD(0.5, gradient_accumulation_steps=3)
    scl = compiled(
        SCL(image=make_encoder("image"), bank_size=20, momentum=0.5), optimizer
    )
    tower, copy = scl.towers["image"], scl.momentum_towers["image"].copy
    kernel = tower.get_weights()[0]
    # The tower rests for two batches; so must a copy that is not its equal.
    copy.set_weights([weight + 1.0 for weight in copy.get_weights()])
    start = copy.get_weights()[0]
    for step in range(3):
        np.testing.assert_array_equal(tower.get_weights()[0], kernel)
        np.testing.assert_array_equal(copy.get_weights()[0], start)
        scl.train_on_batch(make_batch([5, 6, 7], seed=step))
        assert int(scl.banks["image"].filled) == 3 * (step + 1)
    moved = tower.get_weights()[0]
    assert np.abs(moved - kernel).max() > 0
    np.testing.assert_allclose(copy.get_weights()[0], (start + moved) / 2, atol=1e-6)


def test_bank_start_keeps_the_bank_out_of_the_first_losses(make_encoder, make_batch):
    def losses(**settings):
        scl = compiled(SCL(image=make_encoder("image"), **settings))
        batches = [make_batch([5 + s, 15 + s, 25 + s], seed=s) for s in range(4)]
        return [scl.train_on_batch(b, return_dict=True)["loss"] for b in batches]

    never, at_once = losses(bank_size=0), losses(bank_size=20)
    late = losses(bank_size=20, bank_start=2)
    np.testing.assert_allclose(late[:2], never[:2], rtol=1e-6)
    assert at_once[1] > never[1] + 0.1
    assert late[2] > never[2] + 0.1  # The keys of steps 0 and 1 are there by now.


def test_a_ramp_is_the_momentum_of_the_step(make_encoder, make_batch):
    ramp = Ramp(0.0, 1.0, steps=4, shape="linear")
    scl = compiled(SCL(image=make_encoder("image"), bank_size=9, momentum=ramp))
    before = scl.momentum_towers["image"].copy.get_weights()[0]
    scl.train_on_batch(make_batch([5, 6, 7]))
    live = scl.towers["image"].get_weights()[0]
    after = scl.momentum_towers["image"].copy.get_weights()[0]
    # After the first update the step is 1: m = 1/4.
    np.testing.assert_allclose(after, 0.25 * before + 0.75 * live, atol=1e-6)


@pytest.fixture
def precision():
    before = keras.config.dtype_policy()
    yield keras.config.set_dtype_policy
    keras.config.set_dtype_policy(before)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("chunk_size", [None, 5])
def test_mixed_precision_learns(
    make_encoder, make_batch, precision, policy, chunk_size
):
    precision(policy)
    data = tf.data.Dataset.from_tensors(make_batch([5, 6, 7, 8, 9, 10])).repeat(12)
    scl = SCL(
        image=make_encoder("image"),
        vector=make_encoder("vector"),
        tasks=["image->image", "vector->vector"],
        bank_size=30,
        chunk_size=chunk_size,
    )
    compiled(scl, keras.optimizers.Adam(0.05))
    scaled = isinstance(scl.optimizer, keras.optimizers.LossScaleOptimizer)
    assert scaled == (policy == "mixed_float16")
    layer = scl.towers["image"].layers[-2]
    assert layer.compute_dtype == policy.removeprefix("mixed_")
    history = scl.fit(data.take(6), epochs=4, verbose=0).history["loss"]
    assert np.isfinite(history).all() and history[-1] < history[0]
    assert all(v.dtype == "float32" for v in scl.trainable_variables)
    assert int(scl.banks["image"].filled) == 30


@pytest.mark.slow
def test_nan_inputs_stop_fit_with_the_weights_of_the_step_before(
    make_encoder, make_batch
):
    good, bad = make_batch([5, 6, 7, 8]), make_batch([5, 6, 7, 8], seed=2)
    media = bad["query_vector"].numpy()
    media[1] = np.nan
    bad["query_vector"] = tf.constant(media)

    def make():
        scl = SCL(
            image=make_encoder("image"),
            vector=make_encoder("vector"),
            tasks=["image->image", "vector->vector"],
            bank_size=30,
        )
        return compiled(scl, keras.optimizers.AdamW(0.05))

    def data(*batches):
        batches = [tf.data.Dataset.from_tensors(batch) for batch in batches]
        whole = batches[0]
        for batch in batches[1:]:
            whole = whole.concatenate(batch)
        return whole

    scl, sound = make(), make()
    sound.fit(data(good, good), verbose=0)
    with pytest.raises(TfmmError) as error:
        scl.fit(data(good, good, bad, good), verbose=0)
    message = str(error.value)
    assert message.startswith("Training stopped in batch 3 ")
    assert "losses not finite: vector;" in message
    assert "inputs not finite: query_vector;" in message
    assert "weights not finite before the step: 0 of" in message
    for kept, expected in zip(scl.variables, sound.variables, strict=True):
        np.testing.assert_array_equal(kept.numpy(), expected.numpy())
    for kept, expected in zip(
        scl.optimizer.variables, sound.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(kept.numpy(), expected.numpy())


def test_running_statistics_are_put_back_too(make_encoder, make_batch):
    vector = make_encoder("vector")
    layers = [keras.Input((3,)), keras.layers.BatchNormalization()]
    layers += [keras.layers.Dense(4), keras.layers.UnitNormalization()]
    vector.tower = keras.Sequential(layers)
    vector.new_tower = lambda: keras.models.clone_model(vector.tower)
    scl = SCL(vector=vector, tasks=["vector->vector"], bank_size=9)
    compiled(scl, keras.optimizers.Adam(0.05)).train_on_batch(make_batch([5, 6, 7]))
    before = [v.numpy() for v in scl.towers["vector"].variables]
    bad = make_batch([5, 6, 7]) | {"item_vector": tf.fill([3, 3], np.nan)}
    with pytest.raises(TfmmError, match="weights are those from before it"):
        scl.train_on_batch(bad)
    for kept, value in zip(scl.towers["vector"].variables, before, strict=True):
        np.testing.assert_array_equal(kept.numpy(), value)


def test_a_loss_scale_does_not_hide_gradients_that_are_never_finite(
    make_encoder, make_batch, precision
):
    class Poisoned(keras.layers.Layer):
        def call(self, x):
            @tf.custom_gradient
            def poisoned(x):
                return tf.identity(x), lambda upstream: upstream * np.nan

            return poisoned(x)

    precision("mixed_float16")
    image = make_encoder("image")
    outputs = Poisoned(dtype="float32")(image.tower.output)
    image.tower = keras.Model(image.tower.input, outputs)
    image.new_tower = lambda: keras.models.clone_model(image.tower)
    scl = compiled(SCL(image=image, bank_size=9), keras.optimizers.Adam(0.05))
    data = tf.data.Dataset.from_tensors(make_batch([5, 6, 7])).repeat(40)
    with pytest.raises(TfmmError, match="loss or gradient is not finite"):
        scl.fit(data, verbose=0)
    # 2**15 at first, halved at every step: 16 steps are left out, the next one stops.
    assert float(scl.optimizer.dynamic_scale) == 0.5


@pytest.mark.slow
def test_repeated_tokens_are_summed_by_keras_own_optimizers(make_batch, make_encoder):
    class Words(type(make_encoder("text"))):
        def new_tower(self):
            tokens = keras.Input((self.width,), dtype="int32")
            table = keras.initializers.RandomNormal(seed=self.seed)
            x = keras.layers.Embedding(256, 4, embeddings_initializer=table)(tokens)
            x = keras.layers.GlobalAveragePooling1D()(x)
            return keras.Model(tokens, keras.layers.UnitNormalization()(x))

    def trained(chunk_size):
        scl = SCL(text=Words("text"), bank_size=9, chunk_size=chunk_size)
        compiled(scl, keras.optimizers.Adam(0.01))
        batch = make_batch([5, 6, 7, 8])
        batch["query_text"] = tf.constant([[7, 7, 8], [9, 9, 7], [8, 9, 9], [7, 5, 5]])
        batch["item_text"] = tf.constant([[7, 8, 8], [9, 7, 7], [9, 8, 8], [5, 5, 7]])
        for _ in range(4):
            scl.train_on_batch(batch)
        return scl.towers["text"].get_weights()[0]

    # Chunks sum their gradients into whole tables; all rows at once must do so too.
    np.testing.assert_allclose(trained(None), trained(3), atol=1e-6)


def test_broken_weights_are_named_and_the_bank_stays_clean(make_encoder, make_batch):
    scl = compiled(SCL(image=make_encoder("image"), bank_size=30))
    kernel, bias = scl.towers["image"].get_weights()
    scl.towers["image"].set_weights([kernel * np.inf, bias])
    with pytest.raises(TfmmError, match="before the step: 1 of 3"):
        scl.train_on_batch(make_batch([5, 6]))
    assert int(scl.banks["image"].filled) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    "items, absent",
    [
        ([5], ()),
        ([5, 5, 5, 5], ()),
        ([5, 6, 7], ("query_text",)),
        ([5, 6, 7], ("item_image",)),
        ([5, 6, 7], ("query_text", "query_image", "item_text", "item_image")),
    ],
)
def test_poor_batches_give_finite_steps(make_encoder, make_batch, items, absent):
    scl = SCL(
        image=make_encoder("image"),
        text=make_encoder("text"),
        tasks=["image->image", "text->image", "text->text"],
        bank_size=1000,  # Far more than there are pairs.
        symmetric=True,
    )
    data = tf.data.Dataset.from_tensors(make_batch(items, absent=absent))
    history = compiled(scl).fit(data, epochs=3, verbose=0).history
    assert np.isfinite([values for values in history.values()]).all()
    assert all(np.isfinite(v.numpy()).all() for v in scl.variables)


def test_a_penalty_of_a_tower_joins_the_loss(make_encoder, make_batch):
    image = make_encoder("image")
    scl = compiled(SCL(image=image, bank_size=0, triplet_weight=0))
    batch = make_batch([5, 6, 7])
    plain = scl.test_on_batch(batch, return_dict=True)["loss"]
    dense = image.tower.layers[-2]
    dense.kernel_regularizer = keras.regularizers.L2(0.5)
    dense.kernel.regularizer = dense.kernel_regularizer
    penalty = 0.5 * np.square(dense.kernel.numpy()).sum()
    compiled(scl)
    loss = scl.test_on_batch(batch, return_dict=True)["loss"]
    assert loss == pytest.approx(plain + penalty, rel=1e-5)


def test_bank_start_cannot_be_negative(make_encoder):
    with pytest.raises(TfmmError, match="bank_start=-1"):
        SCL(image=make_encoder("image"), bank_start=-1)


@pytest.mark.slow
def test_fit_goes_on_from_its_checkpoints(make_encoder, make_batch, tmp_path):
    batches = [make_batch([5, 6, 7, 8], seed=seed) for seed in range(3)]
    columns = {name: [batch[name] for batch in batches] for name in batches[0]}
    rows = {name: tf.concat(column, axis=0) for name, column in columns.items()}
    data = tf.data.Dataset.from_tensor_slices(rows).batch(4)

    def trained(epochs, folder):
        settings = {"bank_size": 9, "momentum": Ramp(0.5, 0.9, 9), "bank_start": 2}
        scl = compiled(SCL(image=make_encoder("image"), **settings))
        history = scl.fit(
            data,
            validation_data=data,
            checkpoints=tmp_path / folder,
            checkpoint_every=2,
            epochs=epochs,
            verbose=0,
        ).history
        return history, [variable.numpy() for variable in scl.variables]

    whole, expected = trained(3, "whole")
    trained(1, "parts")
    resumed, found = trained(3, "parts")
    for name, values in whole.items():
        np.testing.assert_allclose(resumed[name], values, rtol=1e-6, err_msg=name)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)
