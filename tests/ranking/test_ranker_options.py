from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.ranking import RankingModel
from tfmm.ranking.offset import check_probabilities


@pytest.fixture
def rich(vocabularies):
    """Vocabularies of requests with two labels, positions and base scores."""
    spec = replace(
        vocabularies.spec, labels=("click", "order"), position=True, base_score=True
    )
    return SimpleNamespace(**{**vars(vocabularies), "spec": spec})


@pytest.fixture
def rich_batch(make_batch):
    batch = make_batch(size=8)
    rng = np.random.default_rng(5)
    shape = batch["item"].shape
    batch["label_order"] = rng.integers(0, 2, shape).astype("float32")
    batch["position"] = np.tile(np.arange(4, dtype="int32"), (8, 1))
    batch["base_score"] = rng.uniform(0.05, 0.95, shape).astype("float32")
    return batch


def _ranker(vocabularies, tables=None, **options):
    keras.utils.set_random_seed(4)
    interests = ("din",) if tables is None else ("din", "simtier")
    options = {"hidden": (16, 8), **options}
    return RankingModel(vocabularies, tables, interests, **options)


def _reloaded(model, folder):
    model.save(folder / "ranker.keras")
    return keras.models.load_model(folder / "ranker.keras")


@pytest.mark.slow
def test_a_head_for_every_label(rich, tables, rich_batch, tmp_path):
    ranker = _ranker(rich, tables, labels=["click", "order"])
    ranker.compile()
    logs = ranker.train_on_batch(rich_batch, return_dict=True)
    assert set(logs) == {"loss", "auc", "auc_order"}
    logits = ranker(rich_batch)
    assert list(logits) == ["click", "order"]
    loaded = _reloaded(ranker, tmp_path)(rich_batch)
    for name, value in logits.items():
        assert value.shape == (8, 4)
        np.testing.assert_array_equal(loaded[name], value)


@pytest.mark.slow
def test_heads_learn_from_their_own_labels(rich, rich_batch):
    rich_batch["label_click"][:] = 1
    rich_batch["label_order"][:] = 0
    ranker = _ranker(rich, labels=["click", "order"])
    ranker.compile(keras.optimizers.Adam(0.05))
    for _ in range(10):
        ranker.train_on_batch(rich_batch)
    logits = ranker(rich_batch)
    valid = np.arange(4) < rich_batch["n_items"][:, None]
    assert (np.asarray(logits["click"])[valid] > 1).all()
    assert (np.asarray(logits["order"])[valid] < -1).all()


def test_positions_count_in_training_alone(rich, rich_batch, tmp_path):
    ranker = _ranker(rich, position=True)
    turned = {**rich_batch, "position": rich_batch["position"][:, ::-1].copy()}
    scored, trained = ranker(rich_batch), ranker(rich_batch, training=True)
    np.testing.assert_array_equal(ranker(turned), scored)
    assert (np.asarray(ranker(turned, training=True)) != np.asarray(trained)).any()
    without = {k: v for k, v in rich_batch.items() if k != "position"}
    np.testing.assert_array_equal(ranker(without), scored)
    with pytest.raises(TfmmError, match="the ranker reads: position"):
        ranker(without, training=True)
    np.testing.assert_array_equal(_reloaded(ranker, tmp_path)(rich_batch), scored)
    # Scoring puts everybody into the first place.
    first = {**rich_batch, "position": np.zeros_like(rich_batch["position"])}
    np.testing.assert_array_equal(ranker(first, training=True), scored)


def test_an_offset_adds_the_logged_logit(rich, rich_batch, tmp_path):
    plain, offset = _ranker(rich), _ranker(rich, offset="base_score")
    offset.set_weights(plain.get_weights())
    score = rich_batch["base_score"].astype("float64")
    difference = np.asarray(offset(rich_batch)) - np.asarray(plain(rich_batch))
    valid = np.arange(4) < rich_batch["n_items"][:, None]
    logit = np.log(score / (1 - score))
    np.testing.assert_allclose(difference[valid], logit[valid], atol=1e-5)
    assert offset.needs_base_score
    assert not plain.needs_base_score
    np.testing.assert_array_equal(
        _reloaded(offset, tmp_path)(rich_batch), offset(rich_batch)
    )
    for extreme in (0.0, 1.0):
        edge = {**rich_batch, "base_score": np.full_like(score, extreme, "float32")}
        assert np.isfinite(offset(edge)).all()
    unknown = {**rich_batch, "base_score": np.full_like(score, np.nan, "float32")}
    np.testing.assert_array_equal(offset(unknown), plain(rich_batch))
    with pytest.raises(TfmmError, match="the ranker reads: base_score"):
        offset({k: v for k, v in rich_batch.items() if k != "base_score"})


def test_logged_scores_that_are_no_probabilities_are_refused():
    for score in ([-2.0, 0.5], [0.0, 37.0]):
        with pytest.raises(TfmmError, match="An offset needs logged probabilities"):
            check_probabilities(score)


@pytest.mark.slow
def test_cross_layers(vocabularies, tables, batch, tmp_path):
    ranker = _ranker(vocabularies, tables, cross_layers=2)
    ranker.compile()
    ranker.train_on_batch(batch)
    np.testing.assert_array_equal(_reloaded(ranker, tmp_path)(batch), ranker(batch))
    assert len(ranker.get_weights()) > len(_ranker(vocabularies, tables).get_weights())


def test_a_plain_keras_loss_trains_alike(vocabularies, batch, tmp_path):
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    results = []
    for option in (None, loss):
        ranker = _ranker(vocabularies, loss=option)
        ranker.compile(keras.optimizers.SGD(0.1))
        results.append(ranker.train_on_batch(batch, return_dict=True))
    assert results[0] == pytest.approx(results[1], rel=1e-6)
    again = _reloaded(ranker, tmp_path)
    assert type(again.tasks[0]).__name__ == "PlainTask"
    np.testing.assert_array_equal(again(batch), ranker(batch))


def test_interests_can_be_left_out_to_see_their_part(vocabularies, tables, batch):
    ranker = _ranker(vocabularies, tables)
    full = np.asarray(ranker(batch))
    assert (np.asarray(ranker(batch, without=(1,))) != full).any()
    np.testing.assert_array_equal(ranker(batch, without=()), full)


def test_what_requests_lack_is_refused(vocabularies, rich, tables):
    with pytest.raises(TfmmError, match=r"labels=\['sale'\], requests with"):
        _ranker(rich, labels=["sale"])
    with pytest.raises(TfmmError, match=r"labels=\['click', 'click'\]"):
        _ranker(rich, labels=["click", "click"])
    with pytest.raises(TfmmError, match="Requests carry no positions"):
        _ranker(vocabularies, position=True)
    with pytest.raises(TfmmError, match="requests without base scores"):
        _ranker(vocabularies, offset="base_score")
    with pytest.raises(TfmmError, match="offset='score', requests with base scores"):
        _ranker(rich, offset="score")
    with pytest.raises(TfmmError, match=r"hidden=\(\)"):
        _ranker(rich, hidden=())
    with pytest.raises(TfmmError, match="recent=0"):
        _ranker(rich, recent=0)
    with pytest.raises(TfmmError, match="loss='binary_crossentropy'"):
        _ranker(rich, loss="binary_crossentropy")
