"""What the ablation remembers, and how it reads its own results."""

from dataclasses import replace

import numpy as np

from benchmarks import scl_ablation as ablation
from benchmarks.scl_cells import append_cell, read_cells, with_spread
from benchmarks.scl_data import PairSet
from benchmarks.scl_trial import Size, Trial

METHODS = ablation.methods_of("marketplace")
ACCURACIES = dict(zip(METHODS, (0.01, 0.02, 0.05, 0.03, 0.3, 0.4, 0.5), strict=True))


def cells(seed, **changes):
    return [
        {"data": "marketplace", "method": method, "seed": seed, "acc1": x, "acc5": x}
        for method, x in (ACCURACIES | changes).items()
    ]


def test_a_line_that_was_cut_off_is_made_again(tmp_path):
    results = tmp_path / "new" / "cells.jsonl"
    assert read_cells(results) == []
    for place in range(3):
        append_cell(results, {"place": place})
    results.write_text(results.read_text()[:-4])
    assert read_cells(results) == [{"place": 0}, {"place": 1}]
    append_cell(results, {"place": 2})
    assert [cell["place"] for cell in read_cells(results)] == [0, 1, 2]


def test_means_and_spread():
    assert with_spread([0.5]) == "0.5000"
    assert with_spread([0.4, 0.6]) == "0.5000 ±0.1414"


def test_the_order_is_that_of_the_means_and_counted_by_seed(capsys):
    ablation.show([*cells(0), *cells(1, triplet=0.39)], ["marketplace"])
    shown = capsys.readouterr().out
    assert "yes, means (0.0500 0.3000 0.4000 0.4450); in 1 of 2 seeds" in shown
    ablation.show(cells(0, clip=0.35), ["marketplace"])
    assert "NO, means (0.3500 0.3000 0.4000 0.5000)" in capsys.readouterr().out


def small_set(**changes):
    random = np.random.default_rng(0)
    fields = {
        "pictures": random.integers(0, 255, (5, 32, 32, 3)).astype(np.uint8),
        "has_picture": np.array([True, True, True, True, False]),
        "titles": ["a", "b", "c", "d", ""],
        "attributes": {"kind": np.array([0, 1, 0, 1, 0])},
        "groups": np.array([0, 1, 2, 2, 4]),
        "query_pictures": None,
        "query_words": ["red hat", "blue hat"],
        "train": np.array([[0, 0], [0, 2], [0, 3], [1, 1]]),
        "test": np.array([[0, 0], [1, 1]]),
        "negatives": np.array([[1, -1, -1, -1], [-1] * 4]),
    }
    return PairSet(**fields | changes)


def test_other_data_or_settings_are_another_cell():
    data = small_set()
    assert data.digest == small_set().digest
    changes = {"query_words": ["red hat", "hat"], "groups": np.arange(5)}
    for name, value in changes.items():
        assert small_set(**{name: value}).digest != data.digest
    assert Size().settings() != replace(Size(), batch=8).settings()
    assert Size().settings() == replace(Size(), seeds=(5,)).settings()


def test_every_answer_of_a_query_is_known_and_absent_pictures_are_not_drawn():
    trial = Trial(small_set(), Size(), 0)
    # Groups, two more than their place; 0 fills.
    assert trial.answers.tolist() == [[2, 4], [3, 0]]
    assert 4 not in trial._items(trial.data.has_picture)
