"""The card: what it says, its tables at two widths, its pictures and page."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from rich.console import Console

from tfmm.evaluation.columns import Columns
from tfmm.evaluation.gain import gain_table
from tfmm.evaluation.gain_charts import pictures
from tfmm.evaluation.gain_page import write_card
from tfmm.evaluation.gain_rows import GainTable
from tfmm.evaluation.gain_values import Cost
from tfmm.evaluation.gain_words import opening

NAMES = ("vector", "simscore", "simtier", "make", "simtier_make", "muse")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    n = 3000
    truth = rng.beta(1, 3, n)
    item = np.minimum(rng.geometric(0.02, n) + 1, 299)
    base = Columns(
        rng.integers(0, 150, n), item, range(n), rng.random(n) < truth, truth, [0] * n
    )

    def mixed(share):
        return base.with_probability(share * truth + (1 - share) * rng.beta(1, 3, n))

    rows = {"id_only": mixed(0.2), "production": mixed(0.4)}
    rows |= {name: mixed(0.3 + 0.1 * i) for i, name in enumerate(NAMES)}
    costs = {name: Cost(0.012, 12_345, 2_500_000) for name in NAMES}
    costs["id_only"] = Cost(0.01, 12_000, 0)
    count = 300 - np.arange(300)
    return gain_table(
        rows,
        base,
        bars={"item mean + user mean": base.with_probability(3 * truth)},
        embedding_row=np.where(count > 290, 1, np.arange(300)),
        train_count=count,
        costs=costs,
        draws=200,
    )


def shown(table, width):
    console = Console(width=width, record=True, file=io.StringIO())
    console.print(table.render())
    return console.export_text()


def test_the_opening_line_says_gain_interval_and_cost(table):
    gain = table["simtier_make"].all_gain
    low, high = gain.intervals["gauc"]
    assert low < gain.gauc < high
    line = opening(table)
    said = f"{gain.gauc:+.2f} points [{low:+.2f}, {high:+.2f}]"
    assert line.startswith(f"SimTier + MAKE over ID-only: {said}")
    for part in (
        "on new items",
        "on the rarest trained items",
        "a training step of 12.0 ms, 1.20 times ID-only's",
        "12,345 trained parameters",
        "2.5 MB of vectors",
    ):
        assert part in line
    assert shown(table, 120).replace("\n", " ").startswith(line[:110])


@pytest.mark.parametrize("width", [80, 120])
def test_nothing_is_cut_at_any_width(table, width):
    text = shown(table, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for row in table.rows:
        assert text.count(row.title) >= 1 + (width == 80)
    for group in table.groups:
        assert group.span in text


def test_groups_and_new_items_make_up_all_impressions(table):
    assert len(table.groups) == 8
    for row in table.rows:
        parts = [row.new_items, *row.groups]
        assert sum(p.scores.impressions for p in parts) == row.all.impressions
        for part, group in zip(row.groups, table.groups, strict=True):
            assert part.scores.impressions == group.impressions


def test_relative_gains_are_better_above_zero(table):
    base, row = table["id_only"].all, table["muse"]
    relative = row.all_gain.relative
    assert relative["auc"] == pytest.approx(100 * (row.all.auc / base.auc - 1))
    expected = 100 * (1 - row.all.log_loss / base.log_loss)
    assert relative["log_loss"] == pytest.approx(expected) and expected > 0
    low, high = row.all_gain.relative_intervals["log_loss"]
    assert low < expected < high


def test_differences_to_production_are_shown_beside(table):
    over = table["muse"].total.over_production
    expected = 100 * (table["muse"].all.gauc - table["production"].all.gauc)
    assert over.gauc == pytest.approx(expected)
    assert table["production"].total.over_production.gauc == 0
    assert [row.kind for row in table.rows] == ["model"] * 7 + [
        "production",
        "bar",
        "best",
    ]


def test_production_as_the_baseline():
    column = np.array([0, 0, 1, 1])
    good = Columns(column, column, column, [0, 1, 0, 1], [0.1, 0.9, 0.2, 0.8], column)
    rows = {"production": good.with_probability([0.5] * 4), "id_only": good}
    table = gain_table(rows, baseline="production")
    assert table.title == "Gain over production on the test requests"
    assert table["id_only"].all_gain.gauc == 50
    assert table["id_only"].total.over_production is None
    assert opening(table).startswith("ID-only over production: +50.00 points")


def test_json_round_trip(table, tmp_path):
    table.save(tmp_path / "gain.json")
    assert GainTable.open(tmp_path / "gain.json") == table


def test_pictures_stand_alone(table):
    found = pictures(table)
    assert list(found) == ["gain.svg", "groups_auc.svg", "groups_log_loss.svg"]
    for svg in found.values():
        root = ElementTree.fromstring(svg)
        assert root.tag == "{http://www.w3.org/2000/svg}svg"
    bars = found["groups_auc.svg"]
    assert bars.count("<rect class") == 9 and bars.count('class="whisker"') == 9
    assert found["gain.svg"].count("<rect class") == len(table.rows) - 1


def test_the_page_holds_all_and_loads_nothing(table, tmp_path):
    page = write_card(tmp_path, table, "a <shop>").read_text()
    assert "a &lt;shop&gt;" in page and "SimTier + MAKE over ID-only" in page
    assert page.count('<svg class="chart"') == 3
    assert "over production" in page and "1, rarest" in page and "2.5 MB" in page
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert {path.name for path in tmp_path.iterdir()} == {
        *("gain.html", "gain.json", "gain.svg", "groups_auc.svg"),
        "groups_log_loss.svg",
    }


def test_one_class_in_a_group_leaves_blanks(tmp_path):
    n = 40
    label = np.arange(n) < 4
    base = Columns(
        np.arange(n) % 5, np.arange(n) + 2, range(n), label, [0.5] * n, [0] * n
    )
    rows = {"id_only": base, "simtier": base.with_probability(label * 0.5 + 0.25)}
    count = np.arange(n + 2)
    table = gain_table(rows, embedding_row=count, train_count=count)
    part = table["simtier"].groups[-1]
    assert part.gain.gauc is None and part.gain.intervals == {}
    assert "+" in shown(table, 80)
    assert "–" in write_card(tmp_path, table, "x").read_text()
