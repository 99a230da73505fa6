import keras
import numpy as np
import pytest
from keras import ops

from tfmm.errors import TfmmError
from tfmm.ranking import HistorySearchInterest, Interest, RankingModel, SimTierInterest
from tfmm.ranking.interests import interest_layer

SEARCHES = [
    {"k": 2},
    {"k": 2, "by": "id", "interests": ["din"]},
    {"k": 2, "by": "category", "category": "category"},
    {"k": 9, "modality": "text", "interests": ["din", {"simtier": {"tiers": 5}}]},
]
INTERESTS = [
    "vector",
    {"vector": {"dimension": None}},
    "simscore",
    "semantic_attention",
    {"semantic_attention": {"form": "muse", "units": 4}},
    {"simtier": {"form": "muse", "scaling": "log1p_weighted"}},
    *({"history_search": options} for options in SEARCHES),
]


def _ranker(vocabularies, tables, *interests, **options):
    keras.utils.set_random_seed(4)
    options = {"hidden": (16, 8), **options}
    return RankingModel(vocabularies, tables, interests, **options)


def _valid(batch, logits):
    return logits[np.arange(batch["item"].shape[1]) < batch["n_items"][:, None]]


@pytest.mark.slow
@pytest.mark.parametrize("interest", INTERESTS, ids=str)
def test_every_interest(vocabularies, tables, batch, add_garbage, tmp_path, interest):
    ranker = _ranker(vocabularies, tables, interest)
    expected = ranker(batch).numpy()
    assert np.isfinite(expected).all()
    # Padding never changes a score.
    dirty = _valid(batch, ranker(add_garbage(batch)).numpy())
    np.testing.assert_array_equal(dirty, _valid(batch, expected))
    # The order of a batch never matters.
    order = np.array([3, 1, 4, 0, 2])
    turned = ranker({key: value[order] for key, value in batch.items()}).numpy()
    np.testing.assert_allclose(turned, expected[order], atol=1e-5)
    # One step, saved, loaded: the same numbers.
    ranker.compile()
    ranker.train_on_batch(batch)
    ranker.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    np.testing.assert_array_equal(loaded(batch).numpy(), ranker(batch).numpy())


def test_no_history_gives_interests_of_zero(vocabularies, tables, batch):
    batch["n_history"][:] = 0
    ranker = _ranker(vocabularies, tables)
    views = ranker.views(batch)
    for name in ("din", "simtier", "semantic_attention", {"history_search": {}}):
        interest = interest_layer(name)
        interest.connect(ranker.shapes.vectors.modalities)
        assert not ops.convert_to_numpy(interest(views=views)).any(), name


def test_a_missing_vector_is_no_similarity_of_zero(vocabularies, tables, batch):
    batch["item"][:] = 13  # the row without a vector
    views = _ranker(vocabularies, tables).views(batch)
    interest = SimTierInterest()
    interest.connect({"image": 8, "text": 4})
    assert not ops.convert_to_numpy(interest(views=views)).any()


def test_a_search_that_finds_all_equals_no_search(vocabularies, tables, batch):
    views = _ranker(vocabularies, tables).views(batch)
    modalities = {"image": 8}
    plain, searched = SimTierInterest(), HistorySearchInterest(["simtier"], k=9)
    plain.connect(modalities)
    searched.connect(modalities)
    np.testing.assert_array_equal(searched(views=views), plain(views=views))


def test_a_search_finds_the_most_similar(vocabularies, tables, batch):
    ranker = _ranker(vocabularies, tables, {"history_search": {"k": 2}})
    views = ranker.views(batch)
    positions, mask = map(np.asarray, ranker.interests[0].search(views))
    view = views.modality("image")
    similarity = np.where(view.mask, view.similarity, -2.0)
    for b, n in np.ndindex(mask.shape[:2]):
        found = sorted(similarity[b, n, positions[b, n][mask[b, n]]])
        best = sorted(s for s in similarity[b, n] if s > -2)[-2:]
        np.testing.assert_allclose(found, best)


def test_only_the_search_sees_what_is_not_recent(vocabularies, tables, batch):
    """The oldest of six items changes; recent=3 hides it from all but the search."""
    batch["n_history"][:] = 6
    other = {**batch, "history_item": batch["history_item"].copy()}
    other["history_item"][:, 0] = 14 - batch["history_item"][:, 0]
    plain = _ranker(vocabularies, tables, "din", "simtier", recent=3)
    np.testing.assert_array_equal(plain(batch), plain(other))
    search = {"history_search": {"k": 6}}
    searching = _ranker(vocabularies, tables, "din", search, recent=3)
    assert (np.asarray(searching(batch)) != np.asarray(searching(other))).any()


def test_recent_keeps_the_newest(vocabularies, tables, batch):
    ranker = _ranker(vocabularies, tables, recent=2)
    rows = ranker.views(batch).rows
    for row, count in enumerate(batch["n_history"]):
        kept = np.asarray(rows.history)[row][np.asarray(rows.history_mask)[row]]
        newest = batch["history_item"][row, max(count - 2, 0) : count]
        assert kept.tolist() == newest.tolist()


def test_an_interest_of_ones_own(vocabularies, tables, batch, tmp_path):
    @keras.saving.register_keras_serializable(package="test")
    class BestMatch(Interest):
        needs_vectors = True

        def call(self, views):
            view = views.modality("image")
            best = ops.max(ops.where(view.mask, view.similarity, -1.0), axis=-1)
            return best[..., None]

    ranker = _ranker(vocabularies, tables, BestMatch())
    ranker.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    np.testing.assert_array_equal(loaded(batch), ranker(batch))
    with pytest.raises(TfmmError, match="BestMatch without a catalog"):
        RankingModel(vocabularies, interests=[BestMatch()])


def test_an_interest_is_in_one_ranker_once(vocabularies, tables):
    interest = SimTierInterest(scaling="log1p_weighted")
    _ranker(vocabularies, tables, interest)
    with pytest.raises(TfmmError, match="belongs to one ranker"):
        _ranker(vocabularies, tables, {"history_search": {"interests": [interest]}})


def test_a_frozen_interest_trains_nothing(vocabularies, tables, batch, tmp_path):
    frozen = interest_layer({"simscore": {"trainable": False}})
    ranker = _ranker(vocabularies, tables, frozen)
    assert not ranker.interests[0].trainable_weights
    ranker.save(tmp_path / "ranker.keras")
    loaded = keras.models.load_model(tmp_path / "ranker.keras")
    assert not loaded.interests[0].trainable_weights


def test_unknown_interests_and_options_are_taught(vocabularies, tables, batch):
    with pytest.raises(TfmmError, match=r"This is no interest. Received: 'magic'"):
        interest_layer({"magic": {}})
    with pytest.raises(TfmmError, match="'simtier' does not have these options"):
        interest_layer({"simtier": {"colour": 1}})
    with pytest.raises(TfmmError, match="by='magic', category=None"):
        interest_layer({"history_search": {"by": "magic"}})
    with pytest.raises(TfmmError, match="by='category', category=None"):
        interest_layer({"history_search": {"by": "category"}})
    with pytest.raises(TfmmError, match=r"interests to ask .* Received: none"):
        interest_layer({"history_search": {"interests": []}})
    wrong = {"history_search": {"by": "category", "category": "colour"}}
    with pytest.raises(TfmmError, match=r"'colour', items with \['category'\]"):
        _ranker(vocabularies, tables, wrong)
    with pytest.raises(TfmmError, match=r"'video', ranker with \['image', 'text'\]"):
        _ranker(vocabularies, tables, {"history_search": {"modality": "video"}})
