import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.layers import unit_vectors
from tfmm.ranking import MAKE, LazyAdam, MakeInterest, RankingModel

HIDDEN = (8, 6, 5, 4)


@pytest.fixture
def make(tables):
    keras.utils.set_random_seed(3)
    return MAKE(tables, hidden=HIDDEN)


def _valid(batch, logits):
    return logits[np.arange(batch["item"].shape[1]) < batch["n_items"][:, None]]


@pytest.mark.slow
def test_fits_request_batches_and_frozen_vectors_do_not_move(make, tables, make_batch):
    batches = make_batch(size=16)
    dataset = tf.data.Dataset.from_tensor_slices(batches).batch(8)
    make.compile(optimizer=keras.optimizers.Adam(0.02))
    history = make.fit(dataset, epochs=3, verbose=0).history
    assert set(history) == {"loss", "auc"}
    assert history["loss"][-1] < history["loss"][0]
    for name, vectors in make.vectors.items():
        np.testing.assert_array_equal(vectors.codes.numpy(), tables[name].codes)
    assert make.predict(dataset, verbose=0).shape == (16, 4)


def test_padding_never_changes_a_score(make, batch, add_garbage):
    expected = _valid(batch, make(batch).numpy())
    actual = _valid(batch, make(add_garbage(batch)).numpy())
    np.testing.assert_array_equal(actual, expected)


def test_saved_and_loaded(make, batch, tmp_path):
    make.save(tmp_path / "make.keras")
    loaded = keras.models.load_model(tmp_path / "make.keras")
    np.testing.assert_array_equal(loaded(batch).numpy(), make(batch).numpy())
    assert loaded.shapes == make.shapes


def test_extractor_is_a_model_on_plain_tensors(make, batch, tables):
    extractor = make.extractor()
    inputs = {}
    n = np.arange(4) < batch["n_items"][:, None]
    past = np.arange(6) < batch["n_history"][:, None]
    for name, table in make.vectors.items():
        history, items = table(batch["history_item"]), table(batch["item"])
        inputs[f"history_{name}"] = unit_vectors(history)
        inputs[f"candidates_{name}"] = unit_vectors(items)
        pairs = (n & items.present)[:, :, None] & (past & history.present)[:, None]
        inputs[f"mask_{name}"] = pairs
    v_make, hidden, logit = extractor(inputs)
    assert v_make.shape == (5, 4, 8 + 4)
    assert [layer.shape[-1] for layer in hidden] == list(HIDDEN)
    expected = _valid(batch, make(batch).numpy())
    np.testing.assert_allclose(_valid(batch, logit.numpy()), expected, atol=1e-6)
    assert not v_make.numpy()[0].any()  # request 0 has no history


def test_unknown_modality(tables):
    with pytest.raises(TfmmError, match=r"modalities=\['video'\], catalog with"):
        MAKE(tables, modalities=["video"])


def test_the_mlp_may_see_v_make_alone_as_printed(tables, batch, tmp_path):
    make = MAKE(tables, hidden=HIDDEN, candidate=False)
    # d of both modalities, not three times as many.
    assert make.extractor_layer.dense_layers[0].kernel.shape == (8 + 4, HIDDEN[0])
    # Request 0 has no history, so v_MAKE is 0 and all its candidates are alike.
    logits = make(batch).numpy()[0]
    np.testing.assert_array_equal(logits, np.repeat(logits[:1], 4))
    make.save(tmp_path / "make.keras")
    loaded = keras.models.load_model(tmp_path / "make.keras")
    np.testing.assert_array_equal(loaded(batch).numpy(), make(batch).numpy())


@pytest.mark.slow
def test_fine_tuned_at_a_rate_of_its_own(make, tables, vocabularies, make_batch):
    def moved(rates):
        keras.utils.set_random_seed(1)
        interest = MakeInterest(make, freeze=False)
        ranker = RankingModel(vocabularies, tables, interests=["din", interest])
        before = interest.extractor.get_weights()
        tower = ranker.tower.get_weights()
        ranker.compile(optimizer=LazyAdam(0.01, rates=rates))
        data = tf.data.Dataset.from_tensors(make_batch(size=16))
        ranker.fit(data, epochs=1, verbose=0)

        def step(new, old):
            return max(np.abs(a - b).max() for a, b in zip(new, old, strict=True))

        return (
            step(interest.extractor.get_weights(), before),
            step(ranker.tower.get_weights(), tower),
        )

    whole, tenth, none = (moved({"make": rate}) for rate in (1.0, 0.1, 0.0))
    # Adam's first step is the rate, whatever the gradient.
    np.testing.assert_allclose([whole[0], tenth[0]], [0.01, 0.001], rtol=1e-3)
    assert none[0] == 0
    np.testing.assert_allclose([whole[1], tenth[1], none[1]], 0.01, rtol=1e-3)


def test_layers_beyond_the_last_one_taken_are_not_trained(make):
    def trained(**options):
        extractor = MakeInterest(make, freeze=False, **options).extractor
        dense = [layer.trainable for layer in extractor.dense_layers]
        return [*dense, extractor.logit_layer.trainable]

    assert trained() == [True, True, True, True, False]
    assert trained(layers_used=[0, 1]) == [True, True, False, False, False]
    assert trained(layers_used=[], use_logit=True) == [True] * 5
    assert not MakeInterest(make).extractor.trainable_weights
