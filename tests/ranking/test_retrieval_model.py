import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.evaluation import recall_at
from tfmm.ranking import RetrievalModel, retrieval_losses, retrieval_task


@pytest.fixture(scope="module")
def counted(vocabularies):
    """The vocabularies with training counts."""
    counts = np.r_[0, 0, np.arange(12, 0, -1)]
    vocabularies.items.train_count = counts
    return vocabularies


@pytest.fixture
def model(counted, tables):
    keras.utils.set_random_seed(4)
    return RetrievalModel(counted, tables, hidden=(16,), dimension=8)


def test_losses_by_hand():
    # s / T = [[1, 0], [0, 1]] / 0.5; log q = log [0.8, 0.2] is taken away by column.
    units = np.eye(2, dtype="float32")
    q = np.array([0.8, 0.2], "float32")
    loss = retrieval_losses(retrieval_task(0.5), units, units, [2, 3], [0, 1], q)
    logits = np.eye(2) / 0.5 - np.log(q)
    expected = np.log(np.exp(logits).sum(1)) - np.diag(logits)
    np.testing.assert_allclose(loss, expected, rtol=1e-5)


def test_same_item_and_same_request_are_no_negatives():
    rng = np.random.default_rng(0)
    users, items = rng.normal(size=(2, 4, 3)).astype("float32")
    items[2] = items[0]
    q = np.full(4, 0.25, "float32")
    task = retrieval_task()
    loss = retrieval_losses(task, users, items, [5, 6, 5, 7], [0, 0, 1, 2], q)
    scores = users @ items.T
    # Click 0 meets click 3 alone: 1 is of its request, 2 is its item.
    expected = np.log(np.exp(scores[0, [0, 3]]).sum()) - scores[0, 0]
    assert float(loss[0]) == pytest.approx(expected, rel=1e-5)
    # Click 1 meets the item of click 2 and click 3.
    expected = np.log(np.exp(scores[1, 1:]).sum()) - scores[1, 1]
    assert float(loss[1]) == pytest.approx(expected, rel=1e-5)


CLICKS = np.repeat([16, 8, 4, 2], 10)


def _learnt(q):
    """Mean score of ten items each that are clicked 16, 8, 4 and 2 times by all."""
    rows = np.repeat(np.arange(40), CLICKS)
    scores = keras.Variable(np.zeros((40, 1), "float32"))
    drawn = tf.constant((q / q.sum())[rows], tf.float32)
    users, requests, task = tf.ones((300, 1)), tf.range(300), retrieval_task()
    optimizer = keras.optimizers.Adam(0.05)
    optimizer.build([scores])

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            items = tf.gather(tf.convert_to_tensor(scores.value), rows)
            losses = retrieval_losses(task, users, items, rows + 2, requests, drawn)
            loss = tf.reduce_sum(losses)
        optimizer.apply([tape.gradient(loss, scores.value)], [scores])

    for _ in range(150):
        step()
    return scores.numpy().reshape(4, 10).mean(1)


def test_the_corrections_sign():
    """Row 13 of the wish list: the inverse probability must hurt.

    Half the clicks are log 2 less of log odds. With the right q that is what scores
    learn; without a correction all items look alike; with the inverse the order is
    turned round.
    """
    right, none, inverse = (_learnt(CLICKS**power) for power in (1.0, 0.0, -1.0))
    np.testing.assert_allclose(np.diff(right), -np.log(2), atol=0.15)
    np.testing.assert_allclose(np.diff(none), 0, atol=0.15)
    np.testing.assert_allclose(np.diff(inverse), np.log(2), atol=0.15)


def test_learns_saves_and_loads(model, make_batch, tmp_path):
    batch = make_batch(size=64, seed=3)
    batch["item"] = np.maximum(batch["item"], 2)
    batch["label_click"] = (batch["item"] % 4 == (batch["user"] % 4)[:, None]) * 1.0
    model.compile(keras.optimizers.Adam(0.01))
    data = tf.data.Dataset.from_tensors(batch).repeat(40)
    history = model.fit(data, epochs=2, verbose=0).history
    assert set(history) == {"loss"}
    assert history["loss"][1] < history["loss"][0]
    model.save(tmp_path / "retrieval.keras")
    loaded = keras.models.load_model(tmp_path / "retrieval.keras")
    np.testing.assert_array_equal(loaded.user_vectors(batch), model.user_vectors(batch))
    np.testing.assert_array_equal(loaded.item_vectors(), model.item_vectors())
    np.testing.assert_array_equal(loaded.probability, model.probability)
    found = recall_at(model, [batch], ks=(3, 12))
    assert found["recall@12"] == 1.0 and found["recall@3"] > 0.5


def test_vectors_and_top_k(model, batch):
    users, items = model.user_vectors(batch), model.item_vectors()
    assert users.shape == (5, 8) and items.shape == (14, 8)
    assert not items[:2].any()
    np.testing.assert_allclose(np.linalg.norm(users, axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(items[2:], axis=1), 1, atol=1e-5)
    rows, scores = model.top_k(batch, 3)
    best = np.argsort(-(users @ items[2:].T), axis=1)[:, :3] + 2
    np.testing.assert_array_equal(rows, best)
    assert (np.diff(scores, axis=1) <= 0).all()


def test_padding_and_order_never_matter(model, batch, add_garbage):
    expected = model.user_vectors(batch)
    np.testing.assert_array_equal(model.user_vectors(add_garbage(batch)), expected)
    order = np.array([3, 1, 4, 0, 2])
    turned = {key: value[order] for key, value in batch.items()}
    np.testing.assert_allclose(model.user_vectors(turned), expected[order], atol=1e-6)


def test_padding_never_changes_a_training_step(model, make_batch, add_garbage):
    batch = make_batch(size=8)
    start, results = model.get_weights(), []
    for data in (batch, add_garbage(batch)):
        model.set_weights(start)
        model.compile(keras.optimizers.SGD(0.1))
        model.train_on_batch(data)
        results.append(model.get_weights())
    for left, right in zip(*results, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)


@pytest.mark.parametrize("what", ["no click", "no history", "unknown items"])
def test_a_batch_of_nothing(model, batch, what):
    if what == "no history":
        batch["n_history"][:] = 0
    elif what == "no click":
        batch["label_click"][:] = 0
    else:
        batch["item"][:] = 1
    model.compile(keras.optimizers.SGD(0.1))
    before = model.get_weights()
    loss = model.train_on_batch(batch, return_dict=True)["loss"]
    assert np.isfinite(loss)
    if what != "no history":
        assert loss == 0
        for old, new in zip(before, model.get_weights(), strict=True):
            np.testing.assert_array_equal(old, new)


def test_without_a_catalog(counted, batch):
    model = RetrievalModel(counted, hidden=(4,), dimension=4)
    assert model.user_vectors(batch).shape == (5, 4)
    assert np.isfinite(model.item_vectors()).all()


def test_errors_teach(counted, model, batch):
    with pytest.raises(TfmmError, match=r"label='buy', requests with \['click'\]"):
        RetrievalModel(counted, label="buy")
    with pytest.raises(TfmmError, match="Received: 0"):
        RetrievalModel(counted, temperature=0)
    del batch["user"]
    with pytest.raises(TfmmError, match="retrieval model reads: user"):
        model(batch)
