"""The audit as a stage of the road."""

import io
import json

import numpy as np
import pytest
import yaml
from rich.console import Console

from tfmm.errors import TfmmError
from tfmm.records.example import decode, encode
from tfmm.records.manifest import read_manifest, write_manifest
from tfmm.records.tfrecord import read_records, write_records
from tfmm.road.audit import audit
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road


@pytest.fixture
def road(simulated, tmp_path):
    """A road whose jobs have run; its timelines may be spoiled."""
    _, made, _ = simulated
    out = tmp_path / "out"
    out.mkdir()
    for name in ("index", "vocabularies"):
        (out / name).symlink_to(made / name)
    content = {
        "name": "audited",
        "input": {"marketplace": {"size": "smoke"}},
        "out": str(out),
        "pretrain": {"text": {}},
    }

    def walked(change, **settings):
        source, target = made / "timelines" / "train", out / "timelines" / "train"
        target.mkdir(parents=True, exist_ok=True)
        for file in source.glob("*.tfrecord"):
            records = [encode(change(_arrays(r))) for r in read_records(file)]
            write_records(target / file.name, records)
        found = read_manifest(source)
        write_manifest(target, kind=found["kind"], counts=found["counts"])
        path = tmp_path / "recipe.yaml"
        path.write_text(yaml.safe_dump({**content, **settings}))
        road = Road(
            Recipe.from_yaml(path),
            Console(file=io.StringIO(), width=200, color_system=None),
        )
        audit(road)
        return road

    return walked


def _arrays(record):
    kinds = {int: np.int64, float: np.float32}
    found = {}
    for name, values in decode(record).items():
        number = values and not isinstance(values[0], bytes)
        found[name] = np.array(values, kinds[type(values[0])]) if number else values
    return found


def told(record):
    """A discount that is 1 where the item was clicked."""
    return {**record, "candidate_discount": record["label_click"] * 1.0}


def test_a_clean_log(road):
    walked = road(lambda record: record)
    assert "no leak found" in walked.console.file.getvalue()
    note = json.loads(walked.path("audit.json").read_text())
    assert note["findings"] == []
    assert note["requests"] > 50


def test_a_leak_stops_the_road_until_it_is_allowed(road):
    with pytest.raises(TfmmError, match="`candidate_discount` alone tells `click`"):
        road(told)
    walked = road(told, audit={"allow": ["candidate_discount"]})
    shown = walked.console.file.getvalue()
    assert "allowed by the recipe" in shown
    assert "alone tells `click`" in shown
    (finding,) = json.loads(walked.path("audit.json").read_text())["findings"]
    assert finding["name"] == "candidate_discount"


def test_a_feature_of_another_name_stays_refused(road):
    with pytest.raises(TfmmError, match="alone tells"):
        road(told, audit={"allow": ["own_click"]})
