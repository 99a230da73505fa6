"""A foreign ranker takes over parts of tfmm in a few lines and stays a Keras model."""

import difflib
from importlib import util
from pathlib import Path
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.layers import inverse_norms, sim_tier
from tfmm.ranking import MAKE

HERE = Path(__file__).parent
USERS, ITEMS, ROWS, LENGTH, LINES = 20, 40, 400, 6, 5
NAMES = ("with_simtier", "with_make", "with_optimizer")


def ranker(name):
    spec = util.spec_from_file_location(name, HERE / f"{name}.py")
    module = util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def changed_lines(old, new):
    """Lines of code that were added or rewritten; a removed line counts as well."""
    marks = [
        line[:1]
        for line in difflib.ndiff(old.splitlines(), new.splitlines())
        if line[2:].strip()
    ]
    return max(marks.count("+"), marks.count("-"))


def foreign_data():
    """Impressions that are clicked if picture and history are of one kind."""
    rng = np.random.default_rng(0)
    kind = np.arange(ITEMS) % 2
    pictures = rng.normal(size=[ITEMS, 8]) + 4 * np.eye(8)[kind]
    pictures /= np.linalg.norm(pictures, axis=1, keepdims=True)
    pictures[[0, -1]] = 0.0  # padding and an item without a picture
    taste = rng.integers(0, 2, ROWS)
    history = 2 * rng.integers(1, ITEMS // 2, [ROWS, LENGTH]) - taste[:, None]
    history *= np.arange(LENGTH) < rng.integers(0, LENGTH + 1, ROWS)[:, None]
    item = rng.integers(1, ITEMS, ROWS)
    inputs = {"user": rng.integers(1, USERS - 1, ROWS), "item": item}
    inputs = {k: v.astype("int32") for k, v in {**inputs, "history": history}.items()}
    return pictures.astype("float32"), inputs, (kind[item] == taste).astype("float32")


@pytest.fixture(scope="module")
def world():
    return foreign_data()


def built(name, pictures):
    keras.utils.set_random_seed(1)
    if name != "with_make":
        return ranker(name).build(USERS, pictures)
    codes = np.round(pictures * 127).astype("int8")
    inverse = keras.ops.convert_to_numpy(inverse_norms(codes))
    table = SimpleNamespace(codes=codes, inverse_norm=inverse, present=inverse > 0)
    make = MAKE({"image": table}, hidden=(8, 8, 8, 4))
    make.trainable = False
    return ranker(name).build(USERS, pictures, make)


@pytest.mark.parametrize("name", NAMES)
def test_at_most_five_lines_change(name):
    files = [HERE / f"{file}.py" for file in ("foreign_ranker", name)]
    old, new = (file.read_text(encoding="utf-8") for file in files)
    assert len(old.splitlines()) <= 41
    assert 0 < changed_lines(old, new) <= LINES


def test_how_changed_lines_are_counted():
    assert changed_lines("a\nb\nc", "a\n\nx\nc\nd") == 2
    assert changed_lines("a\nb\nc", "a") == 2


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_trained_saved_and_exported(name, world, tmp_path):
    pictures, inputs, labels = world
    model = built(name, pictures)
    before = [w.numpy().copy() for w in model.trainable_variables]
    data = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(50)
    ranker(name).train(model, data, epochs=8)
    assert model.evaluate(data, return_dict=True, verbose=0)["AUC"] > 0.8
    for old, new in zip(before, model.trainable_variables, strict=True):
        assert (old != new.numpy()).any(), new.path
    expected = model.predict(inputs, verbose=0)

    model.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    np.testing.assert_array_equal(loaded.predict(inputs, verbose=0), expected)
    assert len(loaded.trainable_variables) == len(model.trainable_variables)

    model.export(tmp_path / "exported", verbose=False)
    served = tf.saved_model.load(tmp_path / "exported")
    tensors = {key: tf.constant(value) for key, value in inputs.items()}
    np.testing.assert_allclose(served.serve(tensors), expected, atol=1e-6)


def test_optimizer_leaves_absent_rows_alone(world):
    pictures, inputs, labels = world
    model = built("with_optimizer", pictures)
    tables = [w for w in model.trainable_variables if w.name == "table"]
    by_rows = {table.shape[0]: table for table in tables}
    assert set(by_rows) == {USERS, ITEMS}
    table = by_rows[USERS]
    first = table.numpy().copy()
    data = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(50)
    ranker("with_optimizer").train(model, data)
    moved = (table.numpy() != first).any(axis=1)
    assert moved.tolist() == [user in inputs["user"] for user in range(USERS)]


def test_make_stays_as_it_was_trained(world):
    pictures, inputs, labels = world
    model = built("with_make", pictures)
    extractor = model.get_layer("make_extractor")
    before = [w.numpy().copy() for w in extractor.weights]
    data = tf.data.Dataset.from_tensor_slices((inputs, labels)).batch(50)
    ranker("with_make").train(model, data)
    for old, new in zip(before, extractor.weights, strict=True):
        np.testing.assert_array_equal(old, new.numpy())


def test_tiers_are_those_of_the_history(world):
    pictures, inputs, _ = world
    model = built("with_simtier", pictures)
    (tiers,) = [layer for layer in model.layers if "sim_tier" in layer.name]
    part = keras.Model(model.inputs, tiers.output)
    counts = np.expm1(part.predict(inputs, verbose=0))
    shown, past = pictures[inputs["item"]], pictures[inputs["history"]]
    cosines = np.einsum("bd,bld->bl", shown, past)
    mask = shown.any(-1)[:, None] & past.any(-1)
    np.testing.assert_allclose(counts.sum(1), mask.sum(1), atol=1e-4)
    np.testing.assert_allclose(counts, sim_tier(cosines, mask), atol=1e-3)
