"""What the report of the paper's tables says of cells, and a few cells in small."""

import json
from dataclasses import replace

import pytest

from benchmarks import paper_tables
from benchmarks.paper_charts import xy_chart
from benchmarks.paper_data import Shop
from benchmarks.paper_figure_6 import figure_6a, figure_6b, figure_6c
from benchmarks.paper_figures import Found, in_order, of_shared_seeds
from benchmarks.paper_report import write_report
from benchmarks.paper_sections import figure_3, table_3
from benchmarks.paper_tables import Work, shop_of, size_of
from benchmarks.paper_trial import Size

GAUC = {
    "id_only": 0.60,
    "vector": 0.606,
    "simscore": 0.612,
    "simtier": 0.618,
    "make": 0.615,
    "simtier_make": 0.624,
    "muse": 0.62,
}
# By group: ID-only 0.5 AUC, both 0.55 in the rarest and 0.51 in the other.
GROUPS = {"id_only": (0.5, 0.5), "simtier_make": (0.55, 0.51)}


def ranker(variant, seed=0, tower="scl", **changes):
    gauc = changes.pop("gauc", GAUC[variant]) + 0.006 * seed
    values = {"gauc": gauc, "auc": gauc, "log_loss": 0.5, "impressions": 10}
    groups = [
        {"span": f"{number}", "auc": auc, "log_loss": 0.5, "impressions": 5}
        for number, auc in enumerate(GROUPS.get(variant, (0.5, 0.5)))
    ]
    cell = {"kind": "ranker", "variant": variant, "seed": seed, "seconds": 1.0}
    cell |= {} if variant == "id_only" else {"tower": tower}
    cell |= {"make_epochs": 10} if "make" in variant else {}
    return cell | {"test": values, "new": values, "groups": groups} | changes


def cells():
    towers = {"random": 0.1, "in_batch": 0.4, "scl": 0.7}
    found = [
        {
            "kind": "tower",
            "tower": name,
            "acc1": acc,
            "acc5": acc,
            "taken": 5,
            "seconds": 1,
        }
        for name, acc in towers.items()
    ]
    for seed in (0, 1):
        found += [ranker(variant, seed) for variant in GAUC]
        found.append(ranker("simtier", seed, "random", gauc=0.603))
        found.append(ranker("simtier", seed, "in_batch", gauc=0.609))
        found.append(ranker("make", seed, make_epochs=0, gauc=0.603))
        found.append(ranker("make", seed, make_epochs=2, gauc=0.612))
        found.append(
            {"kind": "make", "seed": seed, "test_gauc": [0.5, 0.6], "seconds": 1}
        )
        found.append(
            {
                "kind": "ids",
                "reset": False,
                "seed": seed,
                "test_gauc": [0.6, 0.5],
                "seconds": 1,
            }
        )
    return found


def test_gains_are_relative_to_id_only_of_the_same_seed():
    section = table_3(Found(cells()), {"gauc": 0.66, "auc": 0.7})
    rows = {row[0]: row for row in section.rows}
    # (0.618 - 0.6) / 0.6 = 3 % and (0.624 - 0.606) / 0.606 = 2.97 %.
    expected = ["0.6210 ±0.0042", "0.6210 ±0.0042", "+2.99 ±0.02"]
    assert list(rows["SimTier"][1:4]) == expected
    assert list(rows["SimTier"][-2:]) == ["+0.96", "+0.59"]
    assert list(rows["ID-only"][3:]) == ["–"] * 5
    orders = [note for note in section.notes if note.startswith("Gain")]
    assert all(": yes in the mean" in note for note in orders)
    assert len(orders) == 3
    # SimTier: (0.621 - 0.603) / (0.66 - 0.603) = 32 % of the way to the true scores.
    assert "SimTier 32%" in section.notes[-1]


def test_curves_by_epoch_stand_beside_the_papers():
    section = figure_3(Found(cells()))
    assert ["MAKE", "0.5000", "0.6000"] in list(map(list, section.rows))
    assert ["paper: ID-only", "0.6475", "0.6190"] in list(map(list, section.rows))
    assert "ID-only: best at epoch 1, last minus first -0.1000" in section.notes


def test_towers_in_the_order_of_the_gain():
    section = figure_6a(Found(cells()), "marketplace")
    assert [row[0] for row in section.rows] == ["random", "in_batch", "scl"]
    assert "rank correlation 1.00" in section.notes[0]


def test_gain_by_item_frequency():
    section = figure_6b(Found(cells()))
    assert section.rows[0][3] == "+10.00 ±0.00"  # 0.55 against 0.5
    assert section.rows[1][3] == "+2.00 ±0.00"
    assert "the rarest half gains +10.00 %" in section.notes[0]


def test_epochs_of_make():
    section = figure_6c(Found(cells()), (0, 2, 10))
    assert [row[0] for row in section.rows] == ["0 (joint)", "2", "10"]
    assert all(": yes in the mean" in note for note in section.notes[1:])


def test_an_order_that_did_not_come_out_is_said():
    assert in_order("a < b", [(0.3, 0.1), (0.3, 0.2)]).startswith("a < b: NO")
    assert in_order("a < b", []) == "a < b: not measured yet"


def test_a_report_of_half_the_cells(tmp_path):
    shop = Shop("movielens", tmp_path, users=None)
    some = [ranker("id_only"), ranker("simtier"), *cells()[:1]]
    folder = write_report(tmp_path / "report", some, shop, Size())
    assert "| SimTier | 0.6180 |" in (folder / "report.md").read_text()
    assert len(json.loads((folder / "report.json").read_text())["cells"]) == 3
    assert "<svg" in (folder / "report.html").read_text()


def test_no_picture_of_nothing():
    assert xy_chart({"ours": []}, "x", "y") == ""


@pytest.mark.parametrize("data", ["marketplace", "movielens"])
def test_every_cell_has_a_key_of_its_own(data, tmp_path):
    size = size_of(data, "standard")
    keys = [
        tuple(sorted(cell.items()))
        for cell in Work(shop_of(data, "standard"), size, tmp_path).cells()
    ]
    assert len(keys) == len(set(keys))
    assert size.snapshots == (0, 2, 4, 6, 8, 10)
    towers = [cell for cell in map(dict, keys) if cell["kind"] == "tower"]
    assert len(towers) >= 5


@pytest.mark.slow
def test_cells_are_made_once_and_a_second_run_reads_them(tmp_path, monkeypatch):
    monkeypatch.setattr(paper_tables, "OUT", tmp_path)
    shop = shop_of("marketplace", "smoke")
    shop.prepare()
    work = Work(shop, size_of("marketplace", "smoke"), tmp_path / "cells.jsonl")
    kept = [
        {"kind": "tower", "tower": "scl"},
        {"kind": "make", "seed": 0},
        {"kind": "ranker", "variant": "id_only"},
        {"kind": "ranker", "variant": "make", "make_epochs": work.size.epochs},
    ]
    wanted = [
        cell for cell in work.cells() if any(k.items() <= cell.items() for k in kept)
    ]
    assert len(wanted) == len(kept)
    first = [work.run(cell) for cell in wanted]
    assert all(new for _, new in first)
    again = [work.run(cell) for cell in wanted]
    assert [cell for cell, _ in again] == [cell for cell, _ in first]
    assert not any(new for _, new in again)
    assert work.done() == [cell for cell, _ in first]
    section = table_3(Found([cell for cell, _ in first]), shop.best())
    assert [row[0] for row in section.rows] == ["ID-only", "MAKE"]


def test_a_cell_depends_on_what_it_uses_alone():
    size = Size()
    tower = {"kind": "tower", "tower": "scl"}
    make = {"kind": "make", "seed": 0}
    plain = {"kind": "ranker", "variant": "id_only", "seed": 0}
    both = {**plain, "variant": "simtier_make", "tower": "scl", "make_epochs": 10}
    joint = {**both, "variant": "make", "make_epochs": 0}
    other = replace(size, make_rate=0.5)
    assert size.settings(tower) == {"steps": size.steps}
    assert other.settings(plain) == size.settings(plain)
    assert other.settings(joint) == size.settings(joint)
    assert other.settings(both) != size.settings(both)
    assert other.settings(make) != size.settings(make)
    assert replace(size, rate=0.5).settings(make) == size.settings(make)
    assert replace(size, rate=0.5).settings(plain) != size.settings(plain)


def test_points_of_a_curve_share_their_seeds():
    series = {"a": {0: {"x": 1}, 1: {"x": 2}}, "b": {1: {"x": 3}}, "c": {}}
    assert of_shared_seeds(series) == {"a": {1: {"x": 2}}, "b": {1: {"x": 3}}}
