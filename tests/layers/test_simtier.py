import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers import SimTier, sim_tier, slot_of, tier_of


def _edges():
    """float32 on each edge of 20 tiers and one step to either side."""
    edges = (np.arange(-11, 12) / 10).astype("float32")
    below, above = (np.nextafter(edges, np.float32(side)) for side in (-9, 9))
    # TensorFlow takes the two denormal neighbours of 0 for 0.
    below[11], above[11] = -1e-30, 1e-30
    return np.concatenate([below, edges, above])


def _plain(similarity, mask, tiers, form):
    """The rule in numpy's float32, one similarity at a time."""
    size = tiers + 2 if form == "muse" else tiers
    counts = np.zeros([*similarity.shape[:-1], size])
    for *row, i in np.argwhere(mask):
        s, half = similarity[(*row, i)], np.float32(tiers / 2)
        if form == "muse":
            slot, least, most = np.ceil(s * half) + half, 1, tiers
        else:
            slot = np.ceil((s + np.float32(1)) * half) - 1
            least, most = 0, tiers - 1
        counts[(*row, int(np.clip(slot, least, most)))] += 1
    return counts


@pytest.mark.parametrize(
    ("similarity", "tier"),
    [
        (-1.0, 0),  # ceil(0) - 1 = -1, clipped
        (-0.95, 0),  # ceil(0.5) - 1
        (0.0, 9),  # ceil(10) - 1
        (0.95, 19),  # ceil(19.5) - 1
        (1.0, 19),  # ceil(20) - 1
        (1.0 + 1e-6, 19),  # ceil(20.00001) - 1 = 20, clipped
        (-1.0 - 1e-6, 0),
    ],
)
def test_tiers_by_hand(similarity, tier):
    assert int(tier_of(np.float32(similarity), 20)) == tier


@pytest.mark.parametrize(
    ("similarity", "slot"),
    [
        (-1.0, 1),  # ceil(-10) + 10 = 0; with another last bit 1
        (-0.95, 1),  # ceil(-9.5) + 10
        (0.0, 10),
        (0.05, 11),
        (0.95, 20),  # ceil(9.5) + 10
        (1.0, 20),
        (
            1.0 + 1e-6,
            20,
        ),  # ceil(10.00001) + 10 = 21, and 20 with the last bit otherwise
        (-1.2, 1),  # -2, clipped
    ],
)
def test_slots_by_hand(similarity, slot):
    assert int(slot_of(np.float32(similarity), 20)) == slot


def test_counts_by_hand():
    similarity = np.array([[-1.0, -0.95, 0.0, 0.95, 1.0, 1.0 + 1e-6, 0.3]], "float32")
    mask = np.array([[True] * 6 + [False]])
    counts = ops.convert_to_numpy(sim_tier(similarity, mask))[0]
    expected = np.zeros(20)
    expected[[0, 9, 19]] = 2, 1, 3
    assert counts.tolist() == expected.tolist()


def test_all_padding_gives_zeros_and_sums_are_counts():
    rng = np.random.default_rng(1)
    similarity = rng.uniform(-1, 1, [4, 3, 50]).astype("float32")
    mask = rng.random([4, 3, 50]) < 0.5
    mask[0] = False
    counts = ops.convert_to_numpy(sim_tier(similarity, mask, 7))
    assert counts.shape == (4, 3, 7)
    assert (counts.sum(-1) == mask.sum(-1)).all()
    assert not counts[0].any()


def test_equals_numpy_histogram():
    similarity = np.random.default_rng(2).uniform(-1, 1, [1, 1000]).astype("float32")
    counts = ops.convert_to_numpy(sim_tier(similarity, np.ones([1, 1000], bool)))
    expected, _ = np.histogram(similarity, bins=20, range=(-1, 1))
    assert counts[0].tolist() == expected.tolist()


@pytest.mark.parametrize("form", ["paper", "muse"])
@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_edges_fall_alike_everywhere(form, how):
    similarity = np.stack([_edges(), -_edges()])[:, None]
    mask = np.random.default_rng(5).random(similarity.shape) < 0.8

    def count(similarity, mask):
        return sim_tier(similarity, mask, 20, form)

    if how != "eager":
        shape = [None, None, similarity.shape[-1] if how == "xla" else None]
        signature = [tf.TensorSpec(shape, kind) for kind in (tf.float32, tf.bool)]
        count = tf.function(count, signature, jit_compile=how == "xla")
    found = ops.convert_to_numpy(count(similarity, mask))
    np.testing.assert_array_equal(found, _plain(similarity, mask, 20, form))


def test_padding_and_batch_order_never_matter():
    rng = np.random.default_rng(6)
    similarity = rng.uniform(-1, 1, [4, 3, 9]).astype("float32")
    mask = rng.random([4, 3, 9]) < 0.6
    expected = ops.convert_to_numpy(sim_tier(similarity, mask))
    wild = np.where(mask, similarity, np.nan)
    for garbage in (wild, np.where(mask, similarity, 1e30).astype("f4")):
        found = ops.convert_to_numpy(sim_tier(garbage.astype("f4"), mask))
        np.testing.assert_array_equal(found, expected)
    found = ops.convert_to_numpy(sim_tier(similarity[::-1], mask[::-1]))
    np.testing.assert_array_equal(found, expected[::-1])


@pytest.mark.parametrize("shape", [(5,), (0, 3, 5), (2, 3, 0), (2, 2, 2, 5)])
def test_any_leading_shape_and_no_history(shape):
    counts = sim_tier(np.zeros(shape, "f4"), np.ones(shape, bool), 4)
    assert counts.shape == (*shape[:-1], 4)
    assert ops.convert_to_numpy(counts).sum() == np.prod(shape)


def test_no_tensor_of_pairs_and_tiers():
    count = tf.function(sim_tier).get_concrete_function(
        tf.TensorSpec([2, 3, 50]), tf.TensorSpec([2, 3, 50], tf.bool)
    )
    sizes = [
        t.shape.num_elements()
        for op in count.graph.get_operations()
        for t in op.outputs
    ]
    assert max(size for size in sizes if size) <= 2 * 3 * 50


def test_scalings():
    similarity, mask = np.array([[1.0, 0.9]], "float32"), np.ones([1, 2], bool)
    counts = SimTier(2)(similarity, mask)
    logs = SimTier(2, "log1p")(similarity, mask)
    weighted = SimTier(2, "log1p_weighted")
    first = weighted(similarity, mask)
    weighted.tier_weights.assign([5.0, 10.0])
    assert ops.convert_to_numpy(counts).tolist() == [[0, 2]]
    for value, factor in ((logs, 1), (first, 1), (weighted(similarity, mask), 10)):
        # log(1 + 2) = 1.0986
        np.testing.assert_allclose(value, [[0, 1.0986123 * factor]], rtol=1e-6)
    assert SimTier.from_config(weighted.get_config()).scaling == "log1p_weighted"


def test_muse_has_two_more_slots_and_weights_from_0_to_1():
    layer = SimTier(20, "log1p_weighted", form="muse", dtype="mixed_bfloat16")
    similarity = np.array([[1.0, 1.0, -1.0, 1.0]], "float32")
    found = layer(similarity, np.array([[True, True, True, False]]))
    weights = ops.convert_to_numpy(layer.tier_weights)
    assert found.shape == (1, 22) and found.dtype == "float32"
    assert (weights >= 0).all() and (weights < 1).all() and len(set(weights)) > 1
    expected = np.zeros(22)
    expected[[1, 20]] = np.log(2) * weights[1], np.log(3) * weights[20]
    np.testing.assert_allclose(ops.convert_to_numpy(found)[0], expected, rtol=1e-6)
    again = SimTier.from_config(layer.get_config())
    assert (again.form, again.slots) == ("muse", 22)


def test_gradient_reaches_the_weights_alone():
    layer = SimTier(2, "log1p_weighted")
    similarity = tf.constant([[0.9, 0.8, -0.9]])
    with tf.GradientTape() as tape:
        tape.watch(similarity)
        total = tf.reduce_sum(layer(similarity, np.ones([1, 3], bool)))
    found, none = tape.gradient(total, [layer.tier_weights.value, similarity])
    # log(1 + 1), log(1 + 2)
    np.testing.assert_allclose(found, np.log([2, 3]), rtol=1e-6)
    assert none is None


@pytest.mark.parametrize("form", ["paper", "muse"])
def test_functional_model_saves_and_loads(form, tmp_path):
    inputs = keras.Input((None, None)), keras.Input((None, None), dtype="bool")
    layer = SimTier(10, "log1p_weighted", form)
    model = keras.Model(inputs, layer(*inputs))
    assert model.output_shape == (None, None, layer.slots)
    layer.tier_weights.assign(np.arange(layer.slots))
    data = np.random.default_rng(7).uniform(-1, 1, [2, 3, 9]).astype("float32")
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    pair = data, np.ones([2, 3, 9], bool)
    np.testing.assert_array_equal(loaded.predict(pair), model.predict(pair))


@pytest.mark.parametrize(
    "arguments",
    [
        {"tiers": 0},
        {"scaling": "sqrt"},
        {"form": "make"},
        {"tiers": 7, "form": "muse"},
    ],
)
def test_bad_arguments(arguments):
    with pytest.raises(TfmmError, match="Received"):
        SimTier(**arguments)
