"""An interrupted stage of rankers goes on at its variant and step."""

import io

import keras
import numpy as np
import pytest
import yaml
from fitted import Press, interrupt
from rich.console import Console

from tfmm.road import train
from tfmm.road.rankers import rank
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road

pytestmark = pytest.mark.slow


@pytest.fixture
def make_road(simulated, tmp_path):
    """Roads whose timelines and vocabularies are there, of two rankers by ids."""
    schema, built, _ = simulated

    def make(name):
        out = tmp_path / name
        out.mkdir()
        for part in ("index", "timelines", "vocabularies"):
            (out / part).symlink_to(built / part)
        content = {
            "name": name,
            "input": {"schema": str(schema)},
            "out": str(out),
            "pretrain": {"text": {"dimension": 16}},
            "ranking": {
                "batch_size": 64,
                "variants": {"id_only": ["din"], "wide": ["din"]},
                "published": "wide",
            },
        }
        path = tmp_path / f"{name}.yaml"
        path.write_text(yaml.safe_dump(content))
        return Road(Recipe.from_yaml(path), Console(file=io.StringIO(), width=120))

    return make


def weights(road, variant):
    path = road.path("rankers", variant, "ranker.keras")
    return keras.models.load_model(path).get_weights()


def test_rankers_go_on_where_they_were(make_road, monkeypatch):
    whole, broken = make_road("whole"), make_road("broken")
    rank(whole)
    steps = len(train.train_requests(whole, 64))
    press = Press(steps + 2, interrupt)

    class Pressing(train.Progress):
        def on_train_batch_end(self, batch, logs=None):
            super().on_train_batch_end(batch, logs)
            press.on_train_batch_end(batch, logs)

    with monkeypatch.context() as patch:
        patch.setattr(train, "Progress", Pressing)
        with pytest.raises(KeyboardInterrupt):
            rank(broken)
    (kept,) = broken.path(".work").glob("rank-wide-*/checkpoints/step-*")
    assert kept.name == "step-0000000002"
    assert not broken.path("rankers", "wide").exists()
    rank(broken)
    shown = broken.console.file.getvalue()
    assert "going on where it was interrupted" in shown
    assert "id_only was trained before" in shown
    assert not broken.path(".work").exists()
    for variant in ("id_only", "wide"):
        pairs = zip(weights(broken, variant), weights(whole, variant), strict=True)
        for mine, theirs in pairs:
            np.testing.assert_allclose(mine, theirs, atol=1e-6)
