"""Every signature, served by TensorFlow's loader and by the C API, as in memory."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf
from export import real_ranker
from export.real_ranker import ranker_of, request, search

from tfmm.catalog import Catalog
from tfmm.errors import TfmmError
from tfmm.export import export_ranker
from tfmm.export.border import to_batch
from tfmm.export.golden import check_equal
from tfmm.export.graph import load_saved_model, read_graph, signatures
from tfmm.export.ranker import ServedRanker
from tfmm.export.signatures import OPTIONAL
from tfmm.export.signatures.rank_examples import to_examples
from tfmm.export.warmup import read_warmup
from tfmm.ranking import MAKE, RankingModel
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


def changed(example, name, *values):
    """A serialized example with other values of a feature of texts."""
    found = tf.train.Example.FromString(example)
    found.features.feature[name].bytes_list.value[:] = values
    return np.array([found.SerializeToString()], object)


def test_features_of_an_example_may_be_short_or_long(ask, given):
    example = to_examples(given)[0]
    one = {k: v[:1] for k, v in given.items()}
    for values, meant in (((), ""), ((b"young", b"old"), "young")):
        right = ask("rank", **{**one, "user_age": np.array([meant], object)})
        found = ask("rank_examples", examples=changed(example, "user_age", *values))
        np.testing.assert_allclose(found["score"], right["score"], atol=1e-6)
    colors = changed(example, "candidate_color", b"red", b"", b"x", b"blue")
    right = ask("rank", **one)["score"]
    found = ask("rank_examples", examples=colors)["score"]
    np.testing.assert_allclose(found, right, atol=1e-6)


def test_no_base_score_in_an_example_is_no_score_of_zero(ask, given):
    example = tf.train.Example.FromString(to_examples(given)[0])
    del example.features.feature["base_score"]
    text = np.array([example.SerializeToString()], object)
    one = {k: v[:1] for k, v in given.items()}
    one["base_score"] = np.full((1, 3), np.nan, np.float32)
    right = ask("rank", **one)["score"]
    assert (right > 0.1).all()
    found = ask("rank_examples", examples=text)["score"]
    np.testing.assert_allclose(found, right, atol=1e-6)


def test_counts_below_zero_make_examples_of_nothing(ask, given):
    none = {"n_items": np.array([-1, 1], np.int32), "n_history": np.full(2, -2)}
    found = ask("rank_examples", examples=to_examples({**given, **none}))
    whole = ask("rank", **{**given, **none})
    np.testing.assert_allclose(found["score"], whole["score"][:, :1], atol=1e-6)


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


def test_an_item_of_no_index_scores_as_one_of_a_grown_index(toy, parts, ask, given):
    """`new` has no row; it is a candidate and the last event."""
    old = np.random.default_rng(0).normal(size=(4, 6)).astype(np.float32)
    new = np.random.default_rng(7).normal(size=(1, 6)).astype(np.float32)
    grown = toy.index().extend(["new"])
    catalog = Catalog.from_vectors(
        ["a", "b", "c", "f", "new"],
        np.concatenate([old, new]),
        name="v",
        version="1",
        index=grown,
    )
    interests = ["din", "simtier", search("simtier", "semantic_attention")]
    options = {"labels": ["click", "order"], "offset": "base_score", "recent": 4}
    ranker = ranker_of((parts[0], catalog), interests, **options)
    given = {k: v.copy() for k, v in given.items()}
    given["item_id"][0, 2] = given["history_item_id"][0, 7] = "new"
    logits = ranker(to_batch(given, parts[0].spec, grown, parts[0]))["order"]
    found = ask("rank_with_vectors", **with_new(parts, given, ["new"], new))
    right = 1 / (1 + np.exp(-np.asarray(logits, np.float64)))
    valid = pairs(given)
    np.testing.assert_allclose(found["score_order"][valid], right[valid], atol=1e-6)
    assert found["known"][0].tolist() == [True, False, True]


@pytest.mark.parametrize(("ids", "vectors"), [(3, 2), (1, 2), (1, 0), (0, 1)])
def test_ids_and_vectors_of_other_widths_are_refused(parts, ask, given, ids, vectors):
    new = with_new(parts, given, ["d"] * ids, [np.ones(6)] * ids)
    new[modality(parts)] = np.ones((2, vectors, 6), np.float32)
    with pytest.raises(tf.errors.InvalidArgumentError, match="reshape"):
        ask("rank_with_vectors", **new)


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
    assert found["item_id"].shape == (3, 6)  # k is cut to the catalog's items
    assert found["item_id"][0, :4].tolist() == names.tolist()
    assert found["item_id"][0, 4:].tolist() == [b""] * 2
    np.testing.assert_allclose(found["cosine"][0, 0], 1, atol=1e-6)
    assert found["item_id"][1].tolist() == [b"a"] + [b""] * 5
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


@pytest.mark.parametrize("scale", [1e-30, 1, 1e30])
def test_similar_items_are_the_catalogs_neighbours(parts, ask, scale):
    catalog, vectors = parts[1], np.random.default_rng(0).normal(size=(4, 6))
    asked = (scale * vectors).astype(np.float32)
    found = ask("similar_items", vector=asked, k=np.full(4, 4, np.int32))
    for place, name in enumerate(["a", "b", "c", "f"]):
        near = catalog.neighbours(name)
        names = [name, *(near_name for near_name, _ in near)]
        assert [n.decode() for n in found["item_id"][place]] == names
        cosines = np.float32([cosine for _, cosine in near])
        np.testing.assert_array_equal(found["cosine"][place, 1:], cosines)


def sized(given, rows, shown, past):
    """A request cut to so many rows, candidates and events."""
    found = {}
    for name, values in given.items():
        values = values[:rows]
        if values.ndim > 1 and not name.startswith("new_"):
            width = past if name.startswith("history") else shown
            values = values[:, :width]
        found[name] = values
    return found


@pytest.mark.parametrize(("rows", "shown", "past"), [(2, 0, 0), (2, 1, 0), (0, 3, 8)])
@pytest.mark.parametrize("name", ["rank", "rank_rows", "rank_with_vectors", "explain"])
def test_empty_axes_are_answered(toy, parts, ask, given, name, rows, shown, past):
    if name == "rank_rows":
        given = by_row(toy, given)
    if name == "rank_with_vectors":
        given = with_new(parts, given, ["d"], [np.ones(6)])
    for key, values in ask(name, **sized(given, rows, shown, past)).items():
        assert values.shape[: min(2, values.ndim)] == (rows, shown)[: values.ndim]
        if values.dtype.kind == "f":
            assert np.isfinite(values).all(), key


def test_no_rows_at_all(ask, given):
    flat = {k: v[:0] for k, v in given.items() if k != "n_items"}
    flat = {
        k: v[:, 0] if k in ("item_id", "base_score") or k.startswith("candi") else v
        for k, v in flat.items()
    }
    assert ask("rank_flat", **flat)["score"].shape == (0,)
    assert ask("rank_examples", examples=np.zeros(0, object))["score"].shape == (0, 0)


def check_in_memory(toy, vocabularies, ranker, index, given, signatures, folder):
    """What every signature gives is what the model in memory answers."""
    module = ServedRanker(ranker, index, vocabularies, folder, signatures)
    batch = to_batch(given, vocabularies.spec, index, vocabularies)
    for found in module.answered(given, batch):
        function = module.functions[found.call.signature]
        dtypes = function.structured_input_signature[1]
        inputs = {
            name: tf.constant(value, dtypes[name].dtype)
            for name, value in found.call.inputs.items()
        }
        got = {name: value.numpy() for name, value in function(**inputs).items()}
        check_equal(got, found.outputs, found.call.signature)


def test_many_requests_may_ask_a_small_catalog(toy, parts, given, tmp_path):
    many = {k: np.repeat(v, 8, axis=0) for k, v in given.items() if k != "base_score"}
    ranker = ranker_of(parts)
    names = ["explain", "similar_items"]
    check_in_memory(toy, parts[0], ranker, toy.index(), many, names, tmp_path)


@pytest.mark.slow
def test_every_option_at_once(toy, parts, tmp_path):
    """int64 ids, two modalities, MAKE, hashed features, positions, two labels."""
    index, draw = toy.index("int64"), np.random.default_rng(0)
    catalog = Catalog.merge(
        *(
            Catalog.from_vectors(
                ids,
                draw.normal(size=(len(ids), d)),
                name="v",
                version="1",
                modality=modality,
                index=index,
            )
            for modality, ids, d in (
                ("image", [10, 20, 30, 60], 6),
                ("text", [10, 20, 40], 5),
            )
        )
    )
    features = tuple(
        replace(f, size=f.size + 3, hash_buckets=3) if f.kind == "categorical" else f
        for f in parts[0].spec.features
    )
    spec = replace(parts[0].spec, features=features)
    vocabularies = replace(parts[0], spec=spec, index_stamp=index.stamp())
    make = MAKE(catalog, hidden=(8, 6, 5, 4))
    options = {"labels": ["order", "click"], "position": True}
    interests = ["din", make, "simtier", search("simtier")]
    ranker = ranker_of((vocabularies, catalog), interests, **options)
    given = toy.request("int64")
    folder = export_ranker(
        ranker, tmp_path, index, vocabularies, given, signatures=OPTIONAL
    )
    found = signatures(read_graph(folder))
    assert set(found) == {"rank", "serving_default", *OPTIONAL, "similar_items_text"}
    assert {"new_image_vector", "new_text_vector"} < set(
        found["rank_with_vectors"].inputs
    )


def test_another_ranker_has_no_explanation(toy, exported, tmp_path):
    arguments = exported[0], tmp_path, toy.index(), toy.VOCABULARIES, toy.request()
    with pytest.raises(TfmmError, match=r"`explain` looks into a ranker.*ToyRanker"):
        export_ranker(*arguments, signatures=["explain"])
    with pytest.raises(TfmmError, match="a ranker without any"):
        export_ranker(*arguments, signatures=["similar_items"])
    vocabularies = real_ranker.parts(toy)[0]
    arguments = RankingModel(vocabularies, hidden=(4,)), *arguments[1:]
    for name in ("rank_with_vectors", "similar_items"):
        with pytest.raises(TfmmError, match=f"`{name}` .* a ranker without any"):
            export_ranker(*arguments, signatures=[name])
    with pytest.raises(TfmmError, match=r"Received: \['rank_quickly'\]"):
        export_ranker(*arguments, signatures=["rank", "rank_quickly"])


def test_int64_ids(toy, exported, tmp_path):
    names = ["rank_flat", "rank_examples", "rank_rows"]
    given = toy.request("int64")
    arguments = exported[0], tmp_path, toy.index("int64"), toy.VOCABULARIES, given
    assert export_ranker(*arguments, signatures=names).name == "1"
