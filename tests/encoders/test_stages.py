"""Freezing by stage, and rates by stage."""

import keras
import numpy as np
import pytest

import tfmm
from tfmm.encoders import AdamW, Encoder, ImageEncoder
from tfmm.encoders.stages import stages_of
from tfmm.errors import TfmmError


@pytest.fixture
def encoder():
    keras.utils.set_random_seed(0)
    return tfmm.encoders.image("micro", dimension=4, image_size=16)


def _pixels(count=4):
    shape = (count, 16, 16, 3)
    return np.random.default_rng(0).integers(0, 255, shape, np.uint8)


def test_stages_from_input_to_output(encoder):
    stages = ["block1", "block2", "block3", "block4", "projection"]
    assert encoder.stages == stages
    held = [w for s in stages_of(encoder.tower) for x in s.layers for w in x.weights]
    assert {id(w) for w in held} == {id(w) for w in encoder.tower.weights}
    assert len(held) == len(encoder.tower.weights)


def test_blocks_of_a_transformer_are_stages():
    text = tfmm.encoders.text("micro", titles=["red"], dimension=4)
    assert text.stages[-4:] == [
        "transformer_layer_0",
        "transformer_layer_1",
        "pooled_dense",
        "projection",
    ]
    image = tfmm.encoders.image("tiny", dimension=4, image_size=16)
    assert image.stages[1:] == [
        *(f"transformer_block_{n}" for n in range(1, 7)),
        "ln",
        "projection",
    ]


def test_frozen_stages_stay_and_the_others_learn(encoder):
    encoder.freeze(upto="block2")
    before = [w.numpy() for w in encoder.tower.weights]
    encoder.tower.compile(keras.optimizers.Adam(0.1), "mse")
    encoder.tower.fit(_pixels(), np.eye(4), epochs=2, verbose=0)
    changed = [
        not np.array_equal(old, new.numpy())
        for old, new in zip(before, encoder.tower.weights, strict=True)
    ]
    # A kernel and a bias in each of the five stages.
    assert changed == [False] * 4 + [True] * 6
    encoder.unfreeze()
    assert encoder.frozen is None
    assert len(encoder.tower.trainable_variables) == 10


def test_backbone_alone(encoder):
    encoder.freeze_backbone()
    assert encoder.frozen == "block4"
    assert len(encoder.tower.trainable_variables) == 2


def test_frozen_is_saved_and_copied_and_changes_no_digest(encoder, tmp_path):
    digest = encoder.digest
    encoder.freeze(upto="block3")
    assert encoder.digest == digest
    encoder.save(tmp_path / "encoder")
    again = Encoder.load(tmp_path / "encoder")
    for tower in (again.tower, again.new_tower()):
        assert tower.frozen == "block3"
        assert len(tower.trainable_variables) == 4


def test_frozen_batch_normalisation_keeps_its_statistics():
    pixels = keras.Input((4, 4, 3))
    x = keras.layers.Conv2D(2, 1, name="block1_conv")(pixels)
    x = keras.layers.BatchNormalization(name="block1_norm")(x)
    encoder = tfmm.encoders.image(model=keras.Model(pixels, x), dimension=2)
    encoder.freeze(upto="block1")
    before = [w.numpy() for w in encoder.tower.non_trainable_variables]
    encoder.tower(_pixels()[:, :4, :4], training=True)
    for old, new in zip(before, encoder.tower.non_trainable_variables, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_freezing_that_cannot_be(encoder):
    with pytest.raises(TfmmError, match=r"no stage 'block9'.*block1, block2"):
        encoder.freeze(upto="block9")
    plain = keras.Sequential([keras.Input((2,)), keras.layers.Dense(2)])
    with pytest.raises(TfmmError, match=r"Only a `tfmm.encoders.Tower`.*Sequential"):
        ImageEncoder(plain).freeze(upto="dense")
    whole = tfmm.encoders.vectors(np.eye(2), ids=["a", "b"], projection="linear")
    with pytest.raises(TfmmError, match=r"where a head remains"):
        whole.freeze_backbone()


def _model():
    """A tower of one backbone and one head weight, each [1]."""
    raw = keras.Input((1,))
    inner = keras.layers.Dense(1, use_bias=False, name="block1")
    inside = keras.Input((1,))
    backbone = keras.Model(inside, inner(inside))
    head = keras.layers.Dense(1, use_bias=False, name="projection")
    tower = tfmm.encoders.Tower(raw, head(backbone(raw)), name="image_tower")
    for weight in tower.weights:
        weight.assign([[2.0]])
    return tower


@pytest.mark.parametrize("part", ["backbone", "block1", "image_tower/backbone"])
def test_a_step_by_hand(part):
    tower = _model()
    optimizer = AdamW(0.1, rates={part: 0.25}, weight_decay=0.5, epsilon=0.0)
    optimizer.build(tower.trainable_variables)
    gradients = [keras.ops.array([[3.0]]), keras.ops.array([[-5.0]])]
    optimizer.apply(gradients, tower.trainable_variables)
    backbone, head = (float(v.numpy()[0, 0]) for v in tower.trainable_variables)
    # The first step of Adam is lr * sign(g); decay takes lr * 0.5 * w away first.
    # Backbone, lr = 0.025: 2 - 0.025 * 0.5 * 2 - 0.025 = 1.95.
    assert backbone == pytest.approx(1.95, abs=1e-6)
    # Head, lr = 0.1: 2 - 0.1 * 0.5 * 2 + 0.1 = 2.
    assert head == pytest.approx(2.0, abs=1e-6)


def test_the_most_particular_name_counts():
    tower = _model()
    rates = {"backbone": 0.5, "block1": 0.0}
    optimizer = AdamW(0.1, rates=rates, weight_decay=0.0)
    optimizer.build(tower.trainable_variables)
    optimizer.apply([keras.ops.ones((1, 1))] * 2, tower.trainable_variables)
    assert float(tower.weights[0].numpy()[0, 0]) == 2.0


@pytest.mark.slow
def test_without_rates_it_is_keras_adamw(encoder):
    states = []
    for make in (AdamW, keras.optimizers.AdamW):
        keras.utils.set_random_seed(1)
        tower = encoder.new_tower()
        tower.set_weights(encoder.tower.get_weights())
        tower.compile(make(0.01, weight_decay=0.1), "mse")
        tower.fit(_pixels(), np.eye(4), epochs=3, verbose=0, shuffle=False)
        states.append(tower.get_weights())
    for ours, theirs in zip(*states, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_repeated_tokens_are_summed():
    tower = keras.Sequential([keras.Input((2,)), keras.layers.Embedding(3, 1)])
    tower.set_weights([np.ones((3, 1))])
    tower.compile(AdamW(0.1, weight_decay=0.0, beta_1=0.5, epsilon=1e-9), "mae")
    # Token 1 twice has one gradient g, their sum. The first step of Adam is
    # lr * sign(g) whatever the betas; Keras' own takes two means, and another step.
    tower.fit(np.array([[1, 1]]), np.zeros((1, 2, 1)), verbose=0)
    np.testing.assert_allclose(tower.get_weights()[0], [[1.0], [0.9], [1.0]], atol=1e-6)


def test_resumes_exactly(encoder, tmp_path):
    encoder.tower.compile(AdamW(0.01, rates={"backbone": 0.1, "block2": 0.5}), "mse")
    fit = {"epochs": 2, "verbose": 0, "shuffle": False}
    encoder.tower.fit(_pixels(), np.eye(4), **fit)
    encoder.tower.save(tmp_path / "tower.keras")
    again = keras.models.load_model(tmp_path / "tower.keras")
    assert again.optimizer.rates == {"backbone": 0.1, "block2": 0.5}
    for tower in (encoder.tower, again):
        tower.fit(_pixels(), np.eye(4), **fit)
    for ours, theirs in zip(encoder.tower.weights, again.weights, strict=True):
        np.testing.assert_array_equal(ours.numpy(), theirs.numpy())


def test_rates_that_cannot_be():
    with pytest.raises(TfmmError, match=r"multiples of the learning rate.*-1"):
        AdamW(rates={"backbone": -1})
    with pytest.raises(TfmmError, match=r"\['backbones'\].*There are: backbone"):
        AdamW(rates={"backbones": 0.1}).build(_model().trainable_variables)
