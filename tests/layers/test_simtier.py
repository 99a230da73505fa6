import numpy as np
import pytest
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers import SimTier, sim_tier, tier_of


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


@pytest.mark.parametrize("arguments", [{"tiers": 0}, {"scaling": "sqrt"}])
def test_bad_arguments(arguments):
    with pytest.raises(TfmmError, match="Received"):
        SimTier(**arguments)
