"""The report's sections: each of the paper's tables and figures, with ours beside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from benchmarks import paper_numbers as paper
from benchmarks.paper_charts import xy_chart
from benchmarks.paper_figures import Found, Spread, in_order, of, spread

NONE = "–"
_NAMES = {
    "id_only": "ID-only",
    "vector": "Vector",
    "simscore": "SimScore",
    "simtier": "SimTier",
    "make": "MAKE",
    "simtier_make": "SimTier + MAKE",
    "make_printed": "MAKE, eq. 4 as printed",
    "simtier_make_printed": "SimTier + MAKE, eq. 4 as printed",
    "muse": "MUSE (SimTier, SA-TA on searched history)",
}


@dataclass(frozen=True)
class Section:
    """One table with what it shows.

    Args:
        title: What it is.
        header: The columns' names.
        rows: Texts.
        notes: Lines below the table: what came out, and what did not.
        charts: Pictures, ours and the paper's.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    charts: Sequence[Markup] = ()


def table_3(found: Found, best: dict[str, float]) -> Section:
    """Ways to use the vectors."""
    rows, ladders = [], {}
    for name, title in _NAMES.items():
        cells = found.rankers(name)
        gauc = spread(cells, "test", "gauc")
        if gauc is None:
            continue
        gains = [found.gain(cells, of("test", metric)) for metric in ("gauc", "auc")]
        ladders[name] = found.gain(cells, of("test", "gauc"))
        new = found.gain(cells, of("new", "auc"))
        theirs = paper.GAINS.get(name)
        shown = [NONE] * 3 if name == "id_only" else [text(g) for g in (*gains, new)]
        printed = [f"+{x:.2f}" for x in theirs] if theirs else [NONE, NONE]
        levels = [gauc.text(4), text(spread(cells, "test", "auc"), 4, sign=False)]
        rows.append([title, *levels, *shown, *printed])
    notes = []
    for order in (
        ("vector", "simscore", "simtier"),
        ("make", "simtier_make"),
        ("simtier", "simtier_make"),
        ("make_printed", "simtier", "simtier_make_printed"),
    ):
        values = [ladders.get(name) for name in order]
        if all(values):
            steps = zip(*(v.values for v in values if v), strict=False)
            words = " < ".join(_NAMES[name] for name in order)
            notes.append(in_order(f"Gain in GAUC, %: {words}", steps))
    notes += _headroom(found, best)
    header = [
        *("variant", "GAUC", "AUC", "GAUC gain, %", "AUC gain, %"),
        *("AUC gain on new items, %", "paper: GAUC, %", "paper: AUC, %"),
    ]
    return Section("Table 3: ways to use the vectors", header, rows, notes)


def _headroom(found: Found, best: dict[str, float]) -> list[str]:
    base = spread(found.rankers("id_only"), "test", "gauc")
    if not best or base is None:
        return []
    shares = []
    for name in ("simtier", "make", "simtier_make"):
        mine = spread(found.rankers(name), "test", "gauc")
        if mine is not None:
            share = (mine.mean - base.mean) / (best["gauc"] - base.mean)
            shares.append(f"{_NAMES[name]} {share:.0%}")
    return [
        f"The true click probabilities reach GAUC {best['gauc']:.4f}, AUC "
        f"{best['auc']:.4f}: no model can do better. Of the way from ID-only to there, "
        f"in GAUC: {', '.join(shares)}."
    ]


def figure_3(found: Found) -> Section:
    """Test GAUC by epoch."""
    lines = {
        "MAKE": found.where(kind="make"),
        "as printed": found.where(kind="make_printed"),
        "ID-only": found.where(kind="ids", reset=False),
        "ID-only, reset": found.where(kind="ids", reset=True),
    }
    curves = {
        name: np.mean([cell["test_gauc"] for cell in cells.values()], axis=0)
        for name, cells in lines.items()
        if cells
    }
    epochs = max((len(curve) for curve in curves.values()), default=0)
    rows = [[name, *(f"{x:.4f}" for x in curve)] for name, curve in curves.items()]
    rows += [
        [f"paper: {title}", *(f"{x:.4f}" for x in paper.EPOCHS[name][:epochs])]
        for name, title in (("make", "MM-only"), ("id_only", "ID-only"))
    ]
    notes = [
        "ID-only at a constant rate, so that its epochs are alike. Reset: embeddings "
        "start every epoch as they were at first, dense weights go on. As printed: "
        "MAKE whose MLP sees v_MAKE alone; ours sees the candidate's vector beside it."
    ]
    notes += [
        f"{name}: best at epoch {int(np.argmax(curve)) + 1}, last minus first "
        f"{curve[-1] - curve[0]:+.4f}"
        for name, curve in curves.items()
    ]
    ours = {name: by_epoch(curve) for name, curve in curves.items()}
    theirs = {
        title: by_epoch(paper.EPOCHS[name])
        for name, title in (("make", "MM-only"), ("id_only", "ID-only"))
    }
    charts = [
        xy_chart(ours, "epoch", "GAUC, ours"),
        xy_chart(theirs, "epoch", "GAUC, the paper's"),
    ]
    header = ["model", *(str(epoch + 1) for epoch in range(epochs))]
    return Section("Figure 3: test GAUC by epoch", header, rows, notes, charts)


def text(value: Spread | None, digits: int = 2, sign: bool = True) -> str:
    """Mean and spread, or a dash."""
    return NONE if value is None else value.text(digits, sign)


def by_epoch(values: Sequence[float]) -> list[tuple[float, float]]:
    """(1, first), (2, second), ..."""
    return [(number + 1.0, float(value)) for number, value in enumerate(values)]
