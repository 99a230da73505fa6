import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from tfmm.errors import TfmmError
from tfmm.pretrain.losses import bank_nce, info_nce, triplet

QUERY = np.array([[1.0, 0.0], [0.0, 1.0]])
KEYS = np.array([[0.6, 0.8], [0.0, 1.0], [1.0, 0.0]])


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


def unit(random, *shape):
    vectors = random.normal(size=shape)
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype("f4")


def problem(rows=7, keys=10, slots=23, seed=0):
    """Arguments of `info_nce` with everything in them."""
    random = np.random.default_rng(seed)
    return {
        "query": unit(random, rows, 8),
        "keys": unit(random, keys, 8),
        "temperature": np.float32(0.07),
        "positive": random.permutation(keys)[:rows].astype("int32"),
        "mask": random.random((rows, keys)) < 0.7,
        "further": random.random((rows, keys)) < 0.2,
        "bank": unit(random, slots, 8),
        "bank_groups": random.integers(0, 6, slots).astype("int32"),
        "groups": random.integers(0, 6, (rows, 3)).astype("int32"),
    }


def plain(given):
    """InfoNCE row by row in float64, as the formula says."""
    wide = {n: np.float64(given[n]) for n in ("query", "keys", "bank", "temperature")}
    losses = []
    for row, query in enumerate(wide["query"]):
        positives = given["further"][row].copy()
        positives[given["positive"][row]] = True
        negatives = given["mask"][row] & ~positives
        groups = given["bank_groups"]
        of_bank = (groups != 0) & ~np.isin(groups, given["groups"][row])
        scores = np.exp(wide["keys"] @ query / wide["temperature"])
        total = scores[negatives].sum()
        total += np.exp(wide["bank"][of_bank] @ query / wide["temperature"]).sum()
        losses.append(np.mean(-np.log(scores[positives] / (scores[positives] + total))))
    return np.array(losses)


def value_and_gradients(given, chunk_size):
    given = dict(given)
    names = ("query", "keys", "temperature")
    watched = [tf.constant(given.pop(name)) for name in names]
    weights = np.linspace(0.1, 1.0, len(watched[0])).astype("f4")
    with tf.GradientTape() as tape:
        tape.watch(watched)
        losses = info_nce(*watched, **given, chunk_size=chunk_size)
        total = tf.reduce_sum(losses * weights)
    return [losses, *tape.gradient(total, watched)]


def test_info_nce_by_hand():
    # Row 0: similarities [0.6, 0, 1], positive 0; row 1: [0.8, 1, 0], positive 1.
    tau = 0.5
    expected = [
        -1.2 + math.log(math.exp(1.2) + math.exp(0.0) + math.exp(2.0)),
        -2.0 + math.log(math.exp(1.6) + math.exp(2.0) + math.exp(0.0)),
    ]
    np.testing.assert_allclose(numbers(info_nce(QUERY, KEYS, tau)), expected, rtol=1e-6)


def test_info_nce_takes_the_positive_from_its_place():
    losses = numbers(info_nce(QUERY, KEYS, 1.0, positive=np.array([2, 0])))
    # Row 0's positive has similarity 1, row 1's 0.8.
    expected = [
        -1.0 + math.log(math.exp(0.6) + 1.0 + math.e),
        -0.8 + math.log(math.exp(0.8) + math.e + 1.0),
    ]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_masked_keys_leave_the_sum_but_the_positive_stays():
    mask = np.array([[False, True, False], [False, False, False]])
    losses = numbers(info_nce(QUERY, KEYS, 1.0, mask=mask))
    np.testing.assert_allclose(
        losses, [-0.6 + math.log(math.exp(0.6) + 1.0), 0.0], atol=1e-6
    )


def test_further_positives_share_the_loss_and_are_no_negatives():
    further = np.array([[False, False, True], [False, False, False]])
    loss = numbers(info_nce(QUERY, KEYS, 1.0, further=further))[0]
    # Positives 0.6 and 1, each against the one negative, 0.
    each = [math.log(1.0 + math.exp(-0.6)), math.log(1.0 + math.exp(-1.0))]
    assert loss == pytest.approx(sum(each) / 2, rel=1e-6)


def test_bank_by_hand():
    bank, groups = np.array([[0.8, 0.6], [-1.0, 0.0], [1.0, 0.0]]), [5, 6, 0]
    of_query = np.array([[5, 0], [7, 6]])
    losses = numbers(
        info_nce(
            QUERY, KEYS[:2], 1.0, None, None, None, bank, np.array(groups), of_query
        )
    )
    # Row 0 meets group 6 (similarity -1), row 1 group 5 (0.6); the third is empty.
    expected = [
        -0.6 + math.log(math.exp(0.6) + 1.0 + math.exp(-1.0)),
        -1.0 + math.log(math.e + math.exp(0.8) + math.exp(0.6)),
    ]
    np.testing.assert_allclose(losses, expected, rtol=1e-6)


def test_the_bank_alone_by_hand():
    # Row 0: 0.6 / 0.5 against 1 / 0.5 (group 7 answers it); row 1: 1 / 0.5 against 0.
    bank = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]])
    losses = bank_nce(
        QUERY,
        KEYS[:2],
        0.5,
        bank=bank,
        bank_groups=np.array([5, 7, 0]),
        groups=np.array([[7], [7]]),
    )
    expected = [math.log(1 + math.exp(2.0 - 1.2)), math.log(1 + math.exp(0.0 - 2.0))]
    np.testing.assert_allclose(numbers(losses), expected, rtol=1e-6)


def test_the_bank_alone_is_info_nce_without_a_batch():
    given = problem()
    keys = given["keys"][given["positive"]]
    alone = {name: given[name] for name in ("bank", "bank_groups", "groups")}
    tau, none = given["temperature"], np.zeros((len(keys), len(keys)), bool)
    for chunk_size in (None, 4):
        losses = bank_nce(given["query"], keys, tau, **alone, chunk_size=chunk_size)
        expected = info_nce(given["query"], keys, tau, mask=none, **alone)
        np.testing.assert_allclose(numbers(losses), numbers(expected), rtol=1e-5)


def test_an_empty_bank_changes_nothing():
    empty = info_nce(
        QUERY, KEYS, 0.1, bank=np.zeros((5, 2)), bank_groups=np.zeros(5, "int32")
    )
    np.testing.assert_allclose(numbers(empty), numbers(info_nce(QUERY, KEYS, 0.1)))


@pytest.mark.parametrize("chunk_size", [None, 1, 4, 100])
def test_equals_plain_numpy(chunk_size):
    given = problem()
    losses = numbers(info_nce(**given, chunk_size=chunk_size))
    np.testing.assert_allclose(losses, plain(given), rtol=1e-6, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("chunk_size", [1, 3, 10, 100])
def test_chunked_equals_full_in_value_and_gradients(chunk_size):
    given = problem()
    compiled = tf.function(lambda: value_and_gradients(given, chunk_size))
    for result in (value_and_gradients(given, chunk_size), compiled()):
        pairs = zip(result, value_and_gradients(given, None), strict=True)
        for actual, expected in pairs:
            np.testing.assert_allclose(actual, expected, rtol=1e-6, atol=5e-6)


def test_the_gradient_is_that_of_the_keys_put_behind_the_batch():
    given = problem()
    empty = given.pop("bank_groups") == 0
    groups = problem()["bank_groups"]
    own = (groups[None, None] == given.pop("groups")[:, :, None]).any(1)
    bank = given.pop("bank")
    joined = dict(given, keys=np.concatenate([given["keys"], bank]))
    joined["mask"] = np.concatenate([given["mask"], ~own & ~empty], axis=1)
    joined["further"] = np.pad(given["further"], ((0, 0), (0, len(bank))))
    expected = value_and_gradients(joined, None)
    expected[2] = expected[2][: len(given["keys"])]
    for actual, wanted in zip(
        value_and_gradients(problem(), None), expected, strict=True
    ):
        np.testing.assert_allclose(actual, wanted, rtol=2e-6, atol=5e-6)


def test_walks_blocks_of_a_bank_larger_than_a_block(monkeypatch):
    monkeypatch.setattr("tfmm.pretrain.streaming._BLOCK_SIZE", 0)  # The least: 256.
    given = problem(slots=700)
    losses = numbers(tf.function(lambda: info_nce(**given))())
    np.testing.assert_allclose(losses, plain(given), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_without_negatives_the_loss_and_its_gradient_are_zero(chunk_size):
    given = problem(rows=3, keys=3)
    given |= {"mask": np.zeros((3, 3), bool), "further": np.zeros((3, 3), bool)}
    given["bank_groups"] = np.zeros_like(given["bank_groups"])
    for result in value_and_gradients(given, chunk_size):
        np.testing.assert_array_equal(result, np.zeros_like(result))
    alone = value_and_gradients(problem(rows=1, keys=1), chunk_size)
    assert all(np.isfinite(numbers(result)).all() for result in alone)


def test_half_precision_vectors_give_float32_losses():
    given = problem()
    for dtype in ("float16", "bfloat16"):
        half = {n: ops.cast(given[n], dtype) for n in ("query", "keys")}
        for chunk_size in (None, 4):
            losses = info_nce(**{**given, **half}, chunk_size=chunk_size)
            assert keras.backend.standardize_dtype(losses.dtype) == "float32"
            np.testing.assert_allclose(numbers(losses), plain(given), atol=0.3)


def test_bad_arguments():
    given = problem()
    given.pop("bank_groups")
    with pytest.raises(TfmmError, match="bank_groups"):
        info_nce(**given)
    with pytest.raises(TfmmError, match="chunk_size=0"):
        info_nce(QUERY, KEYS, 0.1, chunk_size=0)


def test_triplet_by_hand():
    negative = np.array([[0.8, 0.6], [1.0, 0.0]])
    losses = triplet(QUERY, KEYS[:2], negative, margin=0.1)
    # Row 0: 0.1 + 0.8 - 0.6; row 1: max(0, 0.1 + 0 - 1).
    np.testing.assert_allclose(numbers(losses), [0.3, 0.0], atol=1e-6)
    masked = triplet(QUERY, KEYS[:2], negative, 0.1, mask=np.array([False, True]))
    np.testing.assert_allclose(numbers(masked), [0.0, 0.0])


def test_padding_rows_never_change_a_row():
    padded = np.concatenate([KEYS, np.ones((4, 2))])
    mask = np.array([[True] * 3 + [False] * 4] * 2)
    losses = numbers(info_nce(QUERY, padded, 0.2, mask=mask))
    assert losses == pytest.approx(numbers(info_nce(QUERY, KEYS, 0.2)), rel=1e-6)
