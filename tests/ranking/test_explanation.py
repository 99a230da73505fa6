import keras
import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.ranking import MAKE, RankingModel, explain

SEARCH = {"history_search": {"k": 3, "interests": [{"simtier": {"tiers": 4}}]}}


@pytest.fixture(scope="module")
def ranker(vocabularies, tables):
    keras.utils.set_random_seed(6)
    interests = ("din", {"simtier": {"tiers": 10}}, SEARCH)
    return RankingModel(vocabularies, tables, interests, hidden=(16, 8))


def test_matches_by_hand(ranker, tables, batch):
    found = ranker.explain(batch, top=2)
    table = tables["image"]
    units = table.codes * table.inverse_norm[:, None].astype("float64")
    for b in range(5):
        past = batch["history_item"][b, : batch["n_history"][b]]
        for n in range(batch["n_items"][b]):
            row = batch["item"][b, n]
            pairs = [
                (units[row] @ units[r], place)
                for place, r in enumerate(past)
                if table.present[row] and table.present[r]
            ]
            best = sorted(pairs, reverse=True)[:2]
            match = found.matches["image"]
            positions = match.positions[b, n][: len(best)]
            assert positions.tolist() == [place for _, place in best]
            assert match.rows[b, n][: len(best)].tolist() == past[positions].tolist()
            cosines = [cosine for cosine, _ in best]
            np.testing.assert_allclose(match.cosines[b, n][: len(best)], cosines, 1e-5)
            tiers = np.clip(np.ceil((np.array(cosines) + 1) * 5) - 1, 0, 9)
            assert match.tiers[b, n][: len(best)].tolist() == tiers.tolist()
            assert (match.positions[b, n][len(best) :] == -1).all()
            assert (match.rows[b, n][len(best) :] == 0).all()
            assert (match.tiers[b, n][len(best) :] == -1).all()
            assert np.isnan(match.cosines[b, n][len(best) :]).all()
            assert match.histogram[b, n].sum() == len(pairs)
            assert match.histogram.shape == (5, 4, 10)


def test_parts_are_what_ablation_takes_away(ranker, batch):
    found = ranker.explain(batch)
    valid = np.arange(4) < batch["n_items"][:, None]
    full = np.asarray(ranker(batch))
    np.testing.assert_array_equal(found.logits[valid], full[valid])
    assert list(found.parts) == ["din", "simtier", "history_search"]
    for place, part in enumerate(found.parts.values()):
        without = np.asarray(ranker(batch, without=(place,)))
        np.testing.assert_array_equal(part[valid], (full - without)[valid])
        assert np.isnan(part[~valid]).all()
    # Row 0 has no history: DIN's weighted sum is zero already.
    np.testing.assert_array_equal(found.parts["din"][0], 0)


def test_padding_and_order_never_matter(ranker, batch, add_garbage):
    found, dirty = ranker.explain(batch), ranker.explain(add_garbage(batch))
    for name in found.parts:
        np.testing.assert_array_equal(found.parts[name], dirty.parts[name])
    for name, match in found.matches.items():
        for field, values in match._asdict().items():
            np.testing.assert_array_equal(values, getattr(dirty.matches[name], field))
    order = np.array([3, 1, 4, 0, 2])
    turned = ranker.explain({key: value[order] for key, value in batch.items()})
    np.testing.assert_array_equal(
        turned.matches["text"].rows, found.matches["text"].rows[order]
    )
    np.testing.assert_allclose(turned.logits, found.logits[order], atol=1e-5)


def test_the_newer_of_equals_comes_first(ranker, batch):
    batch["history_item"][1] = 5
    batch["n_history"][1] = 6
    match = ranker.explain(batch, top=3).matches["image"]
    if match.positions[1, 0, 0] >= 0:
        assert match.positions[1, 0].tolist() == [5, 4, 3]
    assert ranker.explain(batch, top=50).matches["image"].rows.shape == (5, 4, 6)


def test_recent_events_alone_are_in_the_histogram(vocabularies, tables, batch):
    ranker = RankingModel(vocabularies, tables, ("simtier",), hidden=(4,), recent=2)
    batch["n_history"][:] = 6
    batch["history_item"][:] = 5
    batch["item"][:] = 6
    match = ranker.explain(batch, top=6).matches["image"]
    assert match.histogram[0, 0].sum() == 2
    assert (match.positions[0, 0] >= 0).all()


def test_names_of_interests(vocabularies, tables, batch):
    make = MAKE(tables, hidden=(4, 4, 4, 4))
    ranker = RankingModel(
        vocabularies, tables, ("simtier", make, "simtier"), hidden=(4,)
    )
    found = explain(ranker, batch)
    assert list(found.parts) == ["simtier", "make", "simtier 2"]
    assert found.matches["image"].histogram.shape[-1] == 20


def test_without_vectors_there_are_no_matches(vocabularies, batch):
    found = RankingModel(vocabularies, hidden=(4,)).explain(batch)
    assert found.matches == {}
    assert found.label == "click"


def test_errors_teach(ranker, batch):
    with pytest.raises(TfmmError, match="top=0"):
        ranker.explain(batch, top=0)
    with pytest.raises(TfmmError, match=r"label='buy', heads for \['click'\]"):
        ranker.explain(batch, label="buy")
