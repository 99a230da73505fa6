"""Calibration after training: used where the data allow it, never in silence."""

import io
from types import SimpleNamespace

import pytest
from rich.console import Console

from tfmm.errors import TfmmError
from tfmm.evaluation import Platt
from tfmm.records.manifest import write_manifest, writing
from tfmm.road import calibrate


@pytest.fixture
def road(tmp_path):
    def path(*names):
        return tmp_path.joinpath(*names)

    return SimpleNamespace(path=path, console=Console(file=io.StringIO(), width=200))


def said(road, monkeypatch, outcome, requests=5):
    if requests is not None:
        with writing(road.path("timelines", "validation")) as tmp:
            write_manifest(tmp, kind="timelines", counts={"requests": requests})
    read = []
    monkeypatch.setattr(
        calibrate.tfmm.data, "requests", lambda folder, *_: read.append(folder)
    )
    monkeypatch.setattr(calibrate, "calibrate", outcome)
    calibrate.calibrate_ranker(road, "model", "vocabularies")
    return road.console.file.getvalue(), read


@pytest.mark.parametrize("requests", [None, 0])
def test_no_validation_requests(road, monkeypatch, requests):
    text, read = said(road, monkeypatch, None, requests)
    assert "the schema's split has no validation requests" in text
    assert not read


def test_the_numbers_are_shown(road, monkeypatch):
    text, read = said(road, monkeypatch, lambda *_: {"click": Platt(0.5, -1.25)})
    assert "calibrated click: logit * 0.500 -1.250" in text
    assert read == [road.path("timelines", "validation")]


def test_data_that_do_not_allow_it_do_not_stop_the_run(road, monkeypatch):
    def refuse(*_):
        raise TfmmError("Calibration needs both classes [here].")

    text, _ = said(road, monkeypatch, refuse)
    assert "not calibrated: Calibration needs both classes [here]." in text
