import io

import numpy as np
import pytest
from rich.console import Console

from tfmm.errors import TfmmError
from tfmm.evaluation.columns import Columns
from tfmm.evaluation.gain import gain_table
from tfmm.evaluation.gain_rows import GainTable


def columns(n=400, seed=0):
    rng = np.random.default_rng(seed)
    user, item = np.repeat(np.arange(n // 10), 10), rng.integers(2, 30, n)
    truth = rng.random(n)
    label = rng.random(n) < truth
    return Columns(user, item, np.arange(n), label, truth, item)


def make_table():
    best = columns()
    noise = np.random.default_rng(1).random(len(best))
    rows = {
        "simtier": best.with_probability(0.5 * best.probability + 0.5 * noise),
        "id_only": best.with_probability(0.2 * best.probability + 0.8 * noise),
    }
    bars = {"item mean + user mean": best.with_probability(7 * noise)}
    embedding_row = np.arange(30) - 20
    return gain_table(rows, best, bars=bars, embedding_row=embedding_row)


def test_differences_by_hand():
    # user 0: items 1, 0; user 1: items 0, 1
    base = Columns(
        [0, 0, 1, 1], [2, 3, 4, 5], range(4), [1, 0, 0, 1], [0.5] * 4, [0] * 4
    )
    better = base.with_probability([0.6, 0.4, 0.5, 0.5])
    row = gain_table({"id_only": base, "x": better})["x"]
    # GAUC (2 * 1 + 2 * 0.5) / 4; AUC: positives .6 .5, negatives .4 .5: 3.5 / 4
    assert row.all.gauc == 0.75 and row.all_gain.gauc == 25
    assert row.all.auc == 0.875 and row.all_gain.auc == 37.5
    loss = -(np.log(0.6) * 2 + np.log(0.5) * 2) / 4
    assert row.all_gain.log_loss == pytest.approx(loss - np.log(2))
    # d = [.5, 0], D = .25, n = 2: sqrt(2 * (2 * .25)^2) / 4
    assert row.all_gain.gauc_error == pytest.approx(100 * np.sqrt(0.5) / 4)


def test_rows_in_order_and_new_items_apart():
    table = make_table()
    assert [row.name for row in table.rows] == [
        "id_only",
        "simtier",
        "item mean + user mean",
        "best",
    ]
    assert [row.kind for row in table.rows] == ["model", "model", "bar", "best"]
    assert table["best"].all.gauc > table["simtier"].all.gauc
    assert table["id_only"].all_gain.gauc == 0
    assert table["item mean + user mean"].all.log_loss is None
    # items 2..21 have embedding rows below 2
    assert table["best"].new.impressions == int((columns().item < 22).sum())


def test_order_of_impressions_does_not_matter():
    base = columns()
    other = base.with_probability(1 - base.probability)
    shuffled = other.select(np.random.default_rng(3).permutation(len(other)))
    assert gain_table({"id_only": base, "x": other}) == gain_table(
        {"id_only": base, "x": shuffled}
    )


def test_bars_may_hold_more_impressions_than_the_models_saw():
    full = columns()
    twice = np.r_[np.arange(400), np.arange(5)]
    seen = full.select(twice[20:]).with_probability(np.linspace(0, 1, 385))
    whole = full.select(np.random.default_rng(0).permutation(twice))
    a = gain_table({"id_only": seen}, whole)["best"]
    b = gain_table({"id_only": seen}, full.select(twice[20:]))["best"]
    assert a == b and a.all.impressions == 385
    with pytest.raises(TfmmError, match="'best' scores other impressions"):
        gain_table({"id_only": seen}, seen.select(np.arange(300)))


def test_json_round_trip(tmp_path):
    table = make_table()
    table.save(tmp_path / "gain.json")
    assert GainTable.open(tmp_path / "gain.json") == table
    (tmp_path / "gain.json").write_text("{}")
    with pytest.raises(TfmmError, match="not a gain table"):
        GainTable.open(tmp_path / "gain.json")


def test_no_new_items_and_one_class_are_said_not_guessed():
    base = columns()
    table = gain_table({"id_only": base}, embedding_row=np.full(30, 9))
    assert table.rows[0].new.impressions == 0 and table.rows[0].new.gauc is None
    negatives = base.select(base.label == 0)
    row = gain_table({"id_only": negatives}).rows[0]
    assert row.all.auc is None and row.all_gain.gauc is None
    assert row.all.log_loss is not None and row.all.calibration is None


def test_render_shows_every_row():
    console = Console(width=140, record=True, file=io.StringIO())
    console.print(make_table().render())
    text = console.export_text()
    for part in ("ID-only", "+ SimTier", "item mean + user mean", "simulator's best"):
        assert part in text
    assert "new" in text and "400 impressions" in text


def test_errors_teach():
    base = columns()
    with pytest.raises(TfmmError, match="needs its baseline"):
        gain_table({"simtier": base})
    with pytest.raises(TfmmError, match="399 against 400"):
        gain_table({"id_only": base, "x": base.select(np.arange(399))})
    with pytest.raises(TfmmError, match="beyond the vocabulary"):
        gain_table({"id_only": base}, embedding_row=np.zeros(3, int))
    with pytest.raises(TfmmError, match="no row 'nope'"):
        make_table()["nope"]
