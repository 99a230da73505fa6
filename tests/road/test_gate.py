import io
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf
from export import toy_ranker as toy
from rich.console import Console

from tfmm.errors import TfmmError
from tfmm.export.inputs import signature_inputs
from tfmm.export.publish import new_version, rollback, versions
from tfmm.road import gate
from tfmm.road.gate import Gate, Quality, refuse_worse, served_version
from tfmm.road.outside import exports_state
from tfmm.road.recipe import Publish, Recipe
from tfmm.road.road import Road

SERVED = Quality(0.65, 1.1)
LIMITS = Publish(max_gauc_fall=0.01, max_calibration_rise=0.05)


@pytest.mark.parametrize(
    "new",
    [
        SERVED,
        Quality(0.7, 1.0),
        Quality(0.6401, 1.1),  # falls by 0.0099
        Quality(0.65, 1.149),  # 0.149 from 1, 0.049 further
        Quality(0.65, 0.851),  # as far on the other side
    ],
)
def test_what_may_be_published(new):
    refuse_worse(new, SERVED, LIMITS)


@pytest.mark.parametrize(
    ("new", "message"),
    [
        (Quality(0.6399, 1.1), r"GAUC 0.6399 against 0.6500 \(may fall by 0.01\)"),
        (Quality(0.65, 1.16), "calibration 1.160 against 1.100"),
        (Quality(0.65, 0.84), "calibration 0.840 against 1.100"),
        (Quality(float("nan"), 1.0), "GAUC nan"),
        (Quality(0.5, 2.0), "GAUC .* calibration"),
    ],
)
def test_what_is_worse_is_refused(new, message):
    with pytest.raises(TfmmError, match=message):
        refuse_worse(new, SERVED, LIMITS)


def test_the_newest_version_is_the_served_one(tmp_path):
    assert served_version(tmp_path / "none") is None
    for name in ("2", "010", "withdrawn-11", ".draft-1-a"):
        (tmp_path / name).mkdir()
    assert served_version(tmp_path).name == "010"


# Three users, one request each; the models score by price alone.
PRICES = np.array([[1, 2, 3], [4, 5, 6], [5, 0, 0]], np.float32)
LABELS = np.array([[0, 0, 1], [1, 0, 1], [0, 0, 0]], np.float32)


def batch():
    one = {name: values[:1] for name, values in toy.batch().items()}
    rows = {name: np.repeat(values, 3, axis=0) for name, values in one.items()}
    return {
        **rows,
        "user_key": np.array([1, 2, 3]),
        "time": np.zeros(3, np.int64),
        "n_items": np.array([3, 3, 1], np.int32),
        "candidate_price": PRICES,
        "label_click": LABELS,
    }


def save(folder, slope, start=0.0, without=(), signature="rank"):
    """A SavedModel whose score is `start + slope * price`."""
    inputs = signature_inputs(toy.SPEC, "string")
    specs = {
        i.name: tf.TensorSpec(i.shape, i.dtype, i.name)
        for i in inputs
        if i.name not in without
    }
    module = tf.Module()
    module.rank = tf.function(
        lambda **given: {"score": start + slope * given["candidate_price"]}
    )
    concrete = module.rank.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), {signature: concrete})


@pytest.fixture
def road(tmp_path, monkeypatch):
    monkeypatch.setattr(gate, "requests_of_the_test", lambda *_: [batch()])
    recipe = {"name": "x", "input": {"marketplace": {}}, "pretrain": {"text": {}}}
    recipe["out"] = str(tmp_path)
    console = Console(file=io.StringIO(), width=120)
    return Road(Recipe.model_validate(recipe), console)


def publish(road, *line, force=False, **options):
    """The gate's outcome after a version with this line was let through."""
    road.force = force
    ranker = SimpleNamespace(spec=toy.SPEC, needs_base_score=False, labels=["click"])
    found = Gate(road, ranker, toy.index(), toy.VOCABULARIES)
    with new_version(road.saved_models / "ranker") as draft:
        save(draft.folder, *line, **options)
        found(draft.folder)
    return found.outcome


def shown(road):
    return road.console.file.getvalue()


def test_both_answer_the_test_requests(road):
    assert publish(road, 0.1) == {"compared_with": None}
    assert "the first version: nothing to compare with" in shown(road)
    found = publish(road, 0.09)["served"]
    # User 1: AUC 1. User 2: the negative's 5 lies between 4 and 6, AUC 1/2. User 3 has
    # one class. Predicted 0.1+0.2+0.3+0.4+0.5+0.6+0.5 = 2.6 clicks of 3.
    assert found["gauc"] == pytest.approx(0.75)
    assert found["calibration"] == pytest.approx(2.6 / 3)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        # User 1: AUC 0, user 2: 1/2. 0.9+0.8+0.7+0.6+0.5+0.4+0.5 = 4.4 of 3.
        ((-0.1, 1.0), "GAUC 0.2500 against 0.7500.*calibration 1.467 against 0.867"),
        # The order stays, the sum is 2.6 * 1.5 = 3.9 of 3.
        ((0.15,), "worse than the served one: calibration 1.300 against 0.867"),
        # Every score 0.5: ties, AUC 1/2 each; 3.5 of 3.
        ((0.0, 0.5), "GAUC 0.5000 against 0.7500"),
    ],
)
def test_a_worse_version_is_not_published(road, line, words):
    publish(road, 0.1)
    with pytest.raises(TfmmError, match=words):
        publish(road, *line)
    assert "served, version 1 " in shown(road)
    assert [path.name for path in (road.saved_models / "ranker").iterdir()] == ["1"]
    assert publish(road, *line, force=True)["forced"]
    assert versions(road.saved_models / "ranker") == [1, 2]


def test_the_limits_are_the_recipes(road):
    publish(road, 0.1)
    limits = Publish(max_gauc_fall=0.25, max_calibration_rise=0.04)
    road.recipe = road.recipe.model_copy(update={"publish": limits})
    publish(road, 0.0, 0.5)  # GAUC falls by 0.25; 1/6 from 1 after 2/15: 1/30 more.
    limits = limits.model_copy(update={"max_gauc_fall": 0.0})
    road.recipe = road.recipe.model_copy(update={"publish": limits})
    publish(road, 0.1)
    with pytest.raises(TfmmError, match="GAUC"):
        publish(road, 0.0, 0.5)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"without": ["user_age"]}, r"only new \['user_age \(string\)'\]"),
        ({"signature": "score"}, "has no signature `rank`"),
    ],
)
def test_other_requests_need_force(road, options, words):
    publish(road, 0.1, **options)
    with pytest.raises(TfmmError, match=words):
        publish(road, 0.1)
    assert publish(road, 0.1, force=True) == {"compared_with": "1", "forced": True}


def test_a_damaged_served_version_is_told(road):
    publish(road, 0.1)
    (road.saved_models / "ranker" / "1" / "saved_model.pb").write_bytes(b"\xff" * 9)
    with pytest.raises(TfmmError, match=r"version 1 cannot be read.*tfmm rollback"):
        publish(road, 0.1)


def test_a_version_that_was_rolled_back_is_not_exported_again(road):
    publish(road, 0.1)
    publish(road, 0.1)
    note = road.path("serving", "export.json")
    note.parent.mkdir()
    note.write_text('{"ranker": "2"}')
    before = exports_state(road)
    rollback(road.saved_models / "ranker")
    assert exports_state(road) == before
    gone = road.saved_models / "ranker" / "withdrawn-2" / "saved_model.pb"
    gone.unlink()
    assert exports_state(road) != before
