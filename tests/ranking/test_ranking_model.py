import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.ranking import MAKE, MakeInterest, RankingModel


@pytest.fixture(scope="module")
def make(tables):
    keras.utils.set_random_seed(3)
    return MAKE(tables, hidden=(8, 6, 5, 4))


@pytest.fixture
def ranker(vocabularies, tables, make):
    keras.utils.set_random_seed(4)
    return RankingModel(vocabularies, tables, ("din", "simtier", make), hidden=(16, 8))


def _valid(batch, logits):
    return logits[np.arange(batch["item"].shape[1]) < batch["n_items"][:, None]]


def _dataset(batch):
    return tf.data.Dataset.from_tensor_slices(batch).batch(8)


@pytest.mark.slow
@pytest.mark.parametrize("interests", [(), ("din", "simtier")])
def test_interests_compose_and_train(vocabularies, tables, interests, make_batch):
    ranker = RankingModel(vocabularies, tables, interests, hidden=(16, 8))
    ranker.compile()
    history = ranker.fit(_dataset(make_batch(size=16)), verbose=0).history
    assert set(history) == {"loss", "auc"}


def test_needs_no_catalog_for_ids(vocabularies, batch):
    ranker = RankingModel(vocabularies, interests=("din",))
    assert ranker(batch).shape == (5, 4)
    assert not ranker.known(batch["item"]).numpy().any()


def test_padding_never_changes_a_score(ranker, batch, add_garbage):
    expected = _valid(batch, ranker(batch).numpy())
    actual = _valid(batch, ranker(add_garbage(batch)).numpy())
    np.testing.assert_array_equal(actual, expected)


def test_longer_padding_never_changes_a_score(ranker, batch):
    expected = _valid(batch, ranker(batch).numpy())
    wide = {
        key: np.pad(value, [(0, 0), (0, 3)]) if value.ndim == 2 else value
        for key, value in batch.items()
    }
    actual = _valid(wide, ranker(wide).numpy())
    np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_padding_never_changes_a_training_step(ranker, make_batch, add_garbage):
    batch = make_batch(size=8)
    start = ranker.get_weights()
    results = []
    for data in (batch, add_garbage(batch)):
        ranker.set_weights(start)
        ranker.compile(optimizer=keras.optimizers.SGD(0.1))
        ranker.train_on_batch(data)
        results.append(ranker.get_weights())
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-6)


def test_batch_and_candidate_order_never_matter(ranker, batch):
    expected = ranker(batch).numpy()
    order = np.array([3, 1, 4, 0, 2])
    shuffled = {key: value[order] for key, value in batch.items()}
    np.testing.assert_allclose(ranker(shuffled).numpy(), expected[order], atol=1e-5)
    full = {**batch, "n_items": np.full(5, 4, "int32")}
    names = ("item", "candidate_price", "candidate_slot")
    turned = {**full, **{name: full[name][:, ::-1] for name in names}}
    np.testing.assert_allclose(
        ranker(turned).numpy()[:, ::-1], ranker(full).numpy(), atol=1e-5
    )


def test_single_candidates_equal_the_whole_request(ranker, batch):
    first = {
        key: value[:, :1]
        if value.ndim == 2 and not key.startswith("history")
        else value
        for key, value in batch.items()
    }
    first["n_items"] = np.ones(5, "int32")
    np.testing.assert_allclose(
        ranker(first).numpy()[:, 0], ranker(batch).numpy()[:, 0], atol=1e-5
    )


def test_no_history_and_unknown_ids_give_finite_scores(ranker, batch):
    batch["n_history"][:] = 0
    batch["item"][:] = 1
    batch["user"][:] = 1
    assert np.isfinite(ranker(batch).numpy()).all()


def test_known_needs_a_vector(ranker, tables):
    known = ranker.known(np.array([[0, 1, 2, 13]])).numpy()
    assert known.tolist() == [[False, False, True, False]]


def test_tables_and_frozen_make_do_not_move(ranker, make, make_batch):
    before = [v.numpy() for v in ranker.non_trainable_variables]
    trainable = [v.numpy() for v in ranker.trainable_variables]
    paths = [v.path for v in ranker.non_trainable_variables]
    ranker.compile(optimizer=keras.optimizers.SGD(0.5))
    ranker.fit(_dataset(make_batch(size=32)), verbose=0)
    for path, value, old in zip(
        paths, ranker.non_trainable_variables, before, strict=True
    ):
        if "seed" not in path:
            np.testing.assert_array_equal(value.numpy(), old)
    moved = [
        (v.numpy() != old).any()
        for v, old in zip(ranker.trainable_variables, trainable, strict=True)
    ]
    assert np.mean(moved) > 0.9
    np.testing.assert_array_equal(
        ranker.interests[2].extractor.get_weights()[0],
        make.extractor_layer.get_weights()[0],
    )


def test_make_can_be_fine_tuned_without_touching_the_original(
    vocabularies, tables, make, make_batch
):
    interest = MakeInterest(make, freeze=False, layers_used=(3,), use_logit=True)
    ranker = RankingModel(vocabularies, tables, (interest,), hidden=(8,))
    before = make.get_weights()
    kernel = interest.extractor.dense_layers[0].kernel.numpy()
    ranker.compile(optimizer=keras.optimizers.SGD(0.5))
    ranker.fit(_dataset(make_batch(size=16)), verbose=0)
    assert (interest.extractor.dense_layers[0].kernel.numpy() != kernel).any()
    for old, new in zip(before, make.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.slow
def test_saved_and_loaded_with_make_inside(ranker, make_batch, tmp_path):
    batch = make_batch(size=16)
    ranker.compile()
    ranker.fit(_dataset(batch), verbose=0)
    ranker.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    np.testing.assert_array_equal(loaded(batch).numpy(), ranker(batch).numpy())
    assert loaded.spec == ranker.spec
    assert (loaded.known(batch["item"]) == ranker.known(batch["item"])).numpy().all()
    first = ranker.fit(_dataset(batch), verbose=0).history["loss"]
    again = loaded.fit(_dataset(batch), verbose=0).history["loss"]
    assert again == pytest.approx(first, rel=1e-5)


def test_serves_from_a_plain_module_with_open_shapes(ranker, batch, tmp_path):
    names = [name for name in batch if name not in ("user_key", "time", "label_click")]
    specs = {
        name: tf.TensorSpec([None] * batch[name].ndim, batch[name].dtype, name)
        for name in names
    }
    module = tf.Module()
    module.kept = [variable.value for variable in ranker.variables]
    module.rank = tf.function(
        lambda **inputs: {"logit": ranker(inputs, training=False)}, autograph=False
    ).get_concrete_function(**specs)
    tf.saved_model.save(module, str(tmp_path), {"rank": module.rank})
    served = tf.saved_model.load(str(tmp_path)).signatures["rank"]
    logits = served(**{name: tf.constant(batch[name]) for name in names})["logit"]
    np.testing.assert_allclose(logits, ranker(batch), atol=1e-6)


def test_own_layers_are_interests(vocabularies, tables, batch):
    class BestMatch(keras.layers.Layer):
        def call(self, views):
            view = views.modality("image")
            similarity = tf.where(view.mask, view.similarity, -1.0)
            return tf.reduce_max(similarity, axis=-1, keepdims=True)

    ranker = RankingModel(vocabularies, tables, ("din", BestMatch()))
    assert ranker(batch).shape == (5, 4)


def test_a_longer_catalog_adds_unknown_items(vocabularies, make_table, batch):
    ranker = RankingModel(vocabularies, {"image": make_table(17, 8, 5)}, ("simtier",))
    assert ranker.items.codes.numpy()[14:].tolist() == [[1, 1]] * 3
    assert ranker.known(np.array([15])).numpy().all()
    assert np.isfinite(ranker({**batch, "item": batch["item"] * 0 + 15})).all()


def test_mixed_precision_keeps_float32_logits(vocabularies, tables, make, batch):
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        ranker = RankingModel(vocabularies, tables, ("din", "simtier", make))
        logits = ranker(batch)
    finally:
        keras.config.set_dtype_policy("float32")
    assert logits.dtype == "float32"
    assert np.isfinite(logits.numpy()).all()


def test_mismatches_are_refused(vocabularies, tables, make):
    with pytest.raises(TfmmError, match="SimTierInterest without a catalog"):
        RankingModel(vocabularies, interests=("simtier",))
    with pytest.raises(TfmmError, match=r"Received: \['text'\], ranker with"):
        RankingModel(vocabularies, tables, (make,), modalities=["image"])
    with pytest.raises(TfmmError, match=r"no interest\. Received: 'magic'"):
        RankingModel(vocabularies, tables, ("magic",))
    with pytest.raises(TfmmError, match=r"layers_used=\[7\] of 4"):
        MakeInterest(make, layers_used=(7,))
    with pytest.raises(TfmmError, match="Give the catalog"):
        RankingModel(vocabularies, None, (), modalities=["image"])
