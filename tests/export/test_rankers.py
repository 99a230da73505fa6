"""Rankers with every option, exported; the C API's answers are those in memory."""

from dataclasses import replace

import numpy as np
import pytest
from export import real_ranker
from export.real_ranker import OPTIONS, ranker_of, request

from tfmm.errors import TfmmError
from tfmm.export import export_ranker
from tfmm.export.border import to_batch
from tfmm.export.c_api import run_as_server
from tfmm.export.warmup import Call
from tfmm.ranking import MAKE
from tfmm.ranking.heads import by_label
from tfmm.serving import Client, Server


@pytest.fixture(scope="module")
def parts(toy):
    return real_ranker.parts(toy)


def exported(toy, parts, ranker, base):
    return export_ranker(ranker, base, toy.index(), parts[0], request(toy))


def expected(toy, parts, ranker):
    batch = to_batch(request(toy), parts[0].spec, toy.index(), parts[0])
    logits = by_label(ranker, ranker(batch))
    return [1 / (1 + np.exp(-np.asarray(x, np.float64))) for x in logits.values()]


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIONS)
def test_served_as_in_memory(toy, parts, name, tmp_path):
    ranker = ranker_of(parts, **OPTIONS[name])
    folder = exported(toy, parts, ranker, tmp_path)
    given = request(toy)
    if not ranker.needs_base_score:
        del given["base_score"]
    (answer,) = run_as_server(folder, [Call("rank", given)])
    scores = {key: v for key, v in answer.items() if key.startswith("score")}
    others = ranker.labels[1:]
    assert set(scores) == {"score", *(f"score_{label}" for label in others)}
    valid = np.arange(3) < given["n_items"][:, None]
    wanted = expected(toy, parts, ranker)
    for score, right in zip(
        [scores["score"], *(scores[f"score_{label}"] for label in others)],
        wanted,
        strict=True,
    ):
        np.testing.assert_allclose(score[valid], right[valid], atol=1e-5)
        assert not score[~valid].any()


@pytest.mark.slow
def test_make_is_served(toy, parts, tmp_path):
    make = MAKE(parts[1], hidden=(8, 6, 5, 4))
    ranker = ranker_of(parts, ["din", make])
    assert exported(toy, parts, ranker, tmp_path).name == "1"


@pytest.mark.slow
def test_a_calibrated_ranker_is_served_so(toy, parts, tmp_path):
    ranker = ranker_of(parts)
    (before,) = expected(toy, parts, ranker)
    ranker.calibration.assign([2.0], [-1.0])
    folder = exported(toy, parts, ranker, tmp_path)
    given = {k: v for k, v in request(toy).items() if k != "base_score"}
    (answer,) = run_as_server(folder, [Call("rank", given)])
    logit = 2 * np.log(before / (1 - before)) - 1
    right = 1 / (1 + np.exp(-logit))
    np.testing.assert_allclose(answer["score"][0], right[0], atol=1e-5)


def test_a_sample_without_base_scores_is_refused(toy, parts, tmp_path):
    ranker = ranker_of(parts, offset="base_score")
    batch = to_batch(request(toy), parts[0].spec, toy.index(), parts[0])
    batch["user_key"] = request(toy)["user_key"]
    del batch["base_score"]
    with pytest.raises(TfmmError, match="sample batch lacks `base_score`"):
        export_ranker(ranker, tmp_path, toy.index(), parts[0], batch)


@pytest.mark.slow
def test_the_client_knows_heads_and_base_scores(toy, parts, tmp_path):
    exported(toy, parts, ranker_of(parts, **OPTIONS["all"]), tmp_path)
    with Server(tmp_path, rest_api_port=0, grpc_port=0) as server:
        client = Client(server.url)
        with pytest.raises(TfmmError, match="Received: no `base_score`"):
            client.rank(["a", "b"])
        scores = {"base_score": [0.2, 0.7]}
        ranked = client.rank(["a", "b"], history=["c"], candidates=scores)
    assert [r.item_id for r in ranked] == ["b", "a"]
    assert [list(r.others) for r in ranked] == [["order"]] * 2
    assert all(0 < r.others["order"] < 1 for r in ranked)


@pytest.mark.slow
def test_hashed_codes_are_served(toy, parts, tmp_path):
    vocabularies, catalog = parts
    features = tuple(
        replace(f, size=f.size + 3, hash_buckets=3) if f.kind == "categorical" else f
        for f in vocabularies.spec.features
    )
    spec = replace(vocabularies.spec, features=features)
    hashed = replace(vocabularies, spec=spec)
    ranker = ranker_of((hashed, catalog))
    batch = to_batch(request(toy), spec, toy.index(), hashed)
    # "ancient" has no code of its own: 2 + the two known + its hash.
    assert batch["user_age"][0] == 3 and batch["user_age"][1] >= 4
    given = {k: v for k, v in request(toy).items() if k != "base_score"}
    export_ranker(ranker, tmp_path, toy.index(), hashed, given)
    rows = {**batch, "user_key": given["user_key"]}
    folder = export_ranker(ranker, tmp_path, toy.index(), hashed, rows)
    (answer,) = run_as_server(folder, [Call("rank", given)])
    score = 1 / (1 + np.exp(-np.asarray(ranker(batch), np.float64)))
    np.testing.assert_allclose(answer["score"][0], score[0], atol=1e-5)
