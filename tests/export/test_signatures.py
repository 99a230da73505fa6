"""Every signature, served by TensorFlow's loader and by the C API, as in memory."""

import numpy as np
import pytest
import tensorflow as tf
from export import real_ranker
from export.real_ranker import ranker_of, request, search

from tfmm.errors import TfmmError
from tfmm.export import export_ranker
from tfmm.export.border import to_batch
from tfmm.export.graph import load_saved_model, read_graph, signatures
from tfmm.export.signatures import OPTIONAL
from tfmm.export.signatures.rank_examples import to_examples
from tfmm.export.warmup import read_warmup
from tfmm.road.recipe import SIGNATURES


@pytest.fixture(scope="module")
def parts(toy):
    return real_ranker.parts(toy)


@pytest.fixture(scope="module")
def ranker(parts):
    interests = ["din", "simtier", search("simtier", "semantic_attention")]
    labels = ["click", "order"]
    return ranker_of(parts, interests, labels=labels, offset="base_score", recent=4)


@pytest.fixture(scope="module")
def folder(toy, parts, ranker, tmp_path_factory):
    """Exported, which proves every signature through the C API."""
    base = tmp_path_factory.mktemp("models")
    arguments = ranker, base, toy.index(), parts[0], request(toy)
    return export_ranker(*arguments, signatures=OPTIONAL)


@pytest.fixture(scope="module")
def ask(folder):
    model = load_saved_model(folder)

    def run(name, **given):
        function = model.signatures[name]
        dtypes = function.structured_input_signature[1]
        tensors = {k: tf.constant(v, dtypes[k].dtype) for k, v in given.items()}
        return {k: v.numpy() for k, v in function(**tensors).items()}

    return run


@pytest.fixture
def given(toy):
    return request(toy)


def pairs(given):
    """The valid candidates of `given`: request and place."""
    return np.nonzero(np.arange(3) < given["n_items"][:, None])


def test_recipes_know_all():
    assert set(SIGNATURES) == set(OPTIONAL)


def test_all_are_there_and_warmed_up(folder):
    names = {"rank", "serving_default", *OPTIONAL}
    assert set(signatures(read_graph(folder))) == names
    assert {call.signature for call in read_warmup(folder)} == names


def test_variables_are_shared(folder, ranker):
    data = folder / "variables" / "variables.data-00000-of-00001"
    weights = sum(v.numpy().nbytes for v in ranker.weights)
    assert data.stat().st_size < weights + 10_000  # The object graph takes some KB.


def test_coverage_of_the_history(ask, given):
    # Of the eight events f a b c d e b a the newest six count: b c d e b a; d and e
    # have no vector. The other request has no history.
    np.testing.assert_allclose(ask("rank", **given)["history_known"], [4 / 6, 0])


def test_flat_pairs_score_as_in_their_request(ask, given):
    whole = ask("rank", **given)
    place, candidate = pairs(given)
    of_candidate = ("item_id", "base_score")
    flat = {
        k: v[place, candidate]
        if k in of_candidate or k.startswith("candidate_")
        else v[place]
        for k, v in given.items()
        if k != "n_items"
    }
    found = ask("rank_flat", **flat)
    assert {v.shape for v in found.values()} == {(4,)}
    for name in ("score", "score_order", "known"):
        np.testing.assert_allclose(
            found[name], whole[name][place, candidate], atol=1e-6
        )


def test_examples_score_as_the_request(ask, given):
    whole = ask("rank", **given)
    found = ask("rank_examples", examples=to_examples(given))
    assert found["item_id"].tolist() == [[b"a", b"d", b"zzz"], [b"e", b"", b""]]
    valid = pairs(given)
    for name in ("score", "score_order", "known"):
        np.testing.assert_allclose(found[name][valid], whole[name][valid], atol=1e-6)
    np.testing.assert_array_equal(found["history_known"], whole["history_known"])


def test_an_empty_example_is_a_request_for_nothing(ask):
    found = ask("rank_examples", examples=np.array([b""], object))
    assert found["score"].shape == (1, 0)
    assert found["history_known"].tolist() == [0]


def test_a_broken_example_is_refused(ask):
    with pytest.raises(tf.errors.InvalidArgumentError, match="parse"):
        ask("rank_examples", examples=np.array([b"not an example"], object))


def test_a_feature_of_an_example_may_be_left_out(ask, given):
    example = tf.train.Example.FromString(to_examples(given)[0])
    for name in ("user_age", "candidate_price", "history_type"):
        del example.features.feature[name]
    given = {k: v[:1] for k, v in given.items()}
    missing = {
        **given,
        "user_age": np.array([""], object),
        "candidate_price": np.zeros((1, 3), np.float32),
        "history_type": np.full((1, 8), "", object),
    }
    text = np.array([example.SerializeToString()], object)
    np.testing.assert_allclose(
        ask("rank_examples", examples=text)["score"],
        ask("rank", **missing)["score"],
        atol=1e-6,
    )


def by_row(toy, given):
    given = dict(given)
    for name, ids in (("item", "item_id"), ("history_item", "history_item_id")):
        texts = given.pop(ids)
        given[name] = toy.index().rows_of(texts.ravel()).reshape(texts.shape)
    return given


def test_rows_score_as_ids(toy, ask, given):
    whole, found = ask("rank", **given), ask("rank_rows", **by_row(toy, given))
    for name in ("score", "score_order", "known", "history_known"):
        np.testing.assert_array_equal(found[name], whole[name])


def test_rows_of_no_item_are_unknown_items(toy, ask, given):
    rows = by_row(toy, given)
    scores = []
    for row in (1, 0, -7, 8, 2**31 - 1):
        rows["item"] = np.full((2, 3), row, np.int32)
        found = ask("rank_rows", **rows)
        assert not found["known"].any()
        scores.append(found["score"])
    for score in scores[1:]:
        np.testing.assert_array_equal(score, scores[0])


def vectors_of(given, ids, vectors):
    """The request with the same new items for both users."""
    ids = np.array([ids] * 2, object).reshape(2, -1)
    vectors = np.array([vectors] * 2, np.float32).reshape(2, ids.shape[1], 6)
    count = np.full(2, ids.shape[1], np.int32)
    new = {"new_item_id": ids, "new_image_vector": vectors, "n_new": count}
    return {**given, **new}


def modality(parts):
    (name,) = parts[1].modalities
    return f"new_{name}_vector"


def with_new(parts, given, ids=(), vectors=()):
    found = vectors_of(given, list(ids), list(vectors))
    found[modality(parts)] = found.pop("new_image_vector")
    return found


def test_without_new_vectors_nothing_changes(parts, ask, given):
    whole = ask("rank", **given)
    for new in (
        with_new(parts, given),
        with_new(parts, given, ["nobody"], [np.ones(6)]),
        # Sent, but none of them counts.
        {**with_new(parts, given, ["a"], [np.ones(6)]), "n_new": np.zeros(2, np.int32)},
    ):
        found = ask("rank_with_vectors", **new)
        for name, values in whole.items():
            np.testing.assert_array_equal(found[name], values)


def test_the_catalogs_own_vectors_sent_along_change_nothing(parts, ask, given):
    vectors = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    new = with_new(parts, given, ["a", "b", "c", "f"], vectors)
    whole, found = ask("rank", **given), ask("rank_with_vectors", **new)
    for name, values in whole.items():
        if values.dtype != object:
            np.testing.assert_allclose(found[name], values, atol=1e-6)


def test_a_new_item_scores_as_if_the_catalog_held_it(toy, parts, ask, given):
    """The items d and e, both without a vector; e is a candidate and in a history."""
    from tfmm.catalog import Catalog

    old = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    new = np.random.default_rng(5).normal(size=(2, 6)).astype(np.float32)
    catalog = Catalog.from_vectors(
        ["a", "b", "c", "f", "d", "e"],
        np.concatenate([old, new]),
        name="v",
        version="1",
        index=toy.index(),
    )
    interests = ["din", "simtier", search("simtier", "semantic_attention")]
    options = {"labels": ["click", "order"], "offset": "base_score", "recent": 4}
    ranker = ranker_of((parts[0], catalog), interests, **options)
    batch = to_batch(given, parts[0].spec, toy.index(), parts[0])
    logits = np.asarray(ranker(batch)["click"], np.float64)
    found = ask("rank_with_vectors", **with_new(parts, given, ["e", "d"], new[::-1]))
    valid = pairs(given)
    right = 1 / (1 + np.exp(-logits))
    np.testing.assert_allclose(found["score"][valid], right[valid], atol=1e-6)
    assert np.abs(found["score"] - ask("rank", **given)["score"])[0, 1] > 1e-4
    assert found["known"].tolist() == [[True, True, False], [True, False, False]]
    np.testing.assert_allclose(found["history_known"], [1, 0])


def test_zeros_are_no_vector(parts, ask, given):
    # A vector of the request counts before the catalog's: "a" has none any more.
    found = ask("rank_with_vectors", **with_new(parts, given, ["a"], [np.zeros(6)]))
    assert not found["known"][0, 0]
    assert np.isfinite(found["score"]).all()


def test_explained_as_by_the_ranker(toy, parts, ranker, ask, given):
    (name,) = parts[1].modalities
    found = ask("explain", **given)
    whole = ask("rank", **given)
    np.testing.assert_allclose(found["score"], whole["score"], atol=1e-6)
    batch = to_batch(given, parts[0].spec, toy.index(), parts[0])
    why = ranker.explain(batch)
    valid = pairs(given)
    for key, part in why.parts.items():
        right = part[valid]
        np.testing.assert_allclose(found[f"part_{key}"][valid], right, atol=1e-5)
    # "a" against the six newest events as sent: b2 c3 d4 e5 b6 a7; a matches itself.
    assert found[f"{name}_position"][0, 0].tolist()[0] == 7
    assert found[f"{name}_item_id"][0, 0].tolist()[0] == b"a"
    assert found[f"{name}_cosine"][0, 0, 0] == pytest.approx(1, abs=1e-6)
    assert found[f"{name}_tier"][0, 0, 0] == 19
    # Four of the six have a vector, so the fifth match is none.
    assert found[f"{name}_position"][0, 0, 4] == -1
    assert found[f"{name}_item_id"][0, 0, 4] == b""
    assert found[f"{name}_histogram"][0, 0].sum() == 2  # recent=4: of d e b a, b and a
    assert not found["logit"][1, 1:].any()


def test_similar_items_are_exact(toy, ask):
    vectors = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    asked = np.concatenate([3 * vectors[1:2], vectors[:1], np.zeros((1, 6))])
    found = ask("similar_items", vector=asked, k=np.array([9, 1, 2], np.int32))
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    order = np.argsort(-(units @ units[1]))
    names = np.array([b"a", b"b", b"c", b"f"], object)[order]
    assert found["item_id"].shape == (3, 8)  # k is cut to the catalog's rows
    assert found["item_id"][0, :4].tolist() == names.tolist()
    assert found["item_id"][0, 4:].tolist() == [b""] * 4
    np.testing.assert_allclose(found["cosine"][0, 0], 1, atol=5e-3)  # int8
    assert found["item_id"][1].tolist() == [b"a"] + [b""] * 7
    assert found["n_items"].tolist() == [4, 1, 0]
    assert not found["cosine"][2].any()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_vector_has_no_neighbours(ask, value):
    asked = np.full((1, 6), value, np.float32)
    found = ask("similar_items", vector=asked, k=np.array([3], np.int32))
    assert found["n_items"].tolist() == [0]
    assert (
        ask("similar_items", vector=np.zeros((0, 6)), k=np.zeros(0))["n_items"].size
        == 0
    )


@pytest.mark.parametrize("name", ["rank", "rank_rows", "rank_with_vectors", "explain"])
def test_padding_batch_and_order_never_matter(toy, parts, ask, given, name):
    if name == "rank_rows":
        given = by_row(toy, given)
    if name == "rank_with_vectors":
        new = np.random.default_rng(5).normal(size=(2, 6)).astype(np.float32)
        given = with_new(parts, given, ["d", "b"], new)
    expected = ask(name, **given)

    def wide(values):
        if values.ndim < 2:
            return values
        fill = "d" if values.dtype == object else 3
        axes = [(0, 0), (0, 2), *[(0, 0)] * (values.ndim - 2)]
        return np.pad(values, axes, constant_values=fill)

    def check(found, rows=slice(None)):
        for key, right in expected.items():
            left = found[key]
            if left.ndim > 1:
                left = left[:, :3]
            if right.dtype == object:
                valid = pairs({"n_items": given["n_items"][rows]})
                assert left[valid].tolist() == right[rows][valid].tolist()
            else:
                np.testing.assert_allclose(left, right[rows], atol=1e-5)

    check(ask(name, **{k: wide(v) for k, v in given.items()}))
    for row in (0, 1):
        rows = slice(row, row + 1)
        check(ask(name, **{k: v[rows] for k, v in given.items()}), rows)
    turned = ask(name, **{k: v[::-1] for k, v in given.items()})
    check({k: v[::-1] for k, v in turned.items()})


def test_another_ranker_has_no_explanation(toy, exported, tmp_path):
    arguments = exported[0], tmp_path, toy.index(), toy.VOCABULARIES, toy.request()
    with pytest.raises(TfmmError, match=r"`explain` looks into a ranker.*ToyRanker"):
        export_ranker(*arguments, signatures=["explain"])
    with pytest.raises(TfmmError, match="a ranker without any"):
        export_ranker(*arguments, signatures=["similar_items"])
    with pytest.raises(TfmmError, match=r"Received: \['rank_quickly'\]"):
        export_ranker(*arguments, signatures=["rank", "rank_quickly"])


def test_int64_ids(toy, exported, tmp_path):
    names = ["rank_flat", "rank_examples", "rank_rows"]
    given = toy.request("int64")
    arguments = exported[0], tmp_path, toy.index("int64"), toy.VOCABULARIES, given
    assert export_ranker(*arguments, signatures=names).name == "1"
