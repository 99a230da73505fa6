"""The report's sections: each of the paper's tables and figures, with ours beside."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from benchmarks import paper_numbers as paper
from benchmarks.paper_charts import xy_chart
from benchmarks.paper_figures import Found, Spread, in_order, of, of_group, spread
from benchmarks.paper_towers import TOWERS, TRUTH

NONE = "–"
_NAMES = {
    "id_only": "ID-only",
    "vector": "Vector",
    "simscore": "SimScore",
    "simtier": "SimTier",
    "make": "MAKE",
    "simtier_make": "SimTier + MAKE",
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
        shown = [NONE] * 3 if name == "id_only" else [_text(g) for g in (*gains, new)]
        printed = [f"+{x:.2f}" for x in theirs] if theirs else [NONE, NONE]
        levels = [gauc.text(4), _text(spread(cells, "test", "auc"), 4, sign=False)]
        rows.append([title, *levels, *shown, *printed])
    notes = []
    for order in (
        ("vector", "simscore", "simtier"),
        ("make", "simtier_make"),
        ("simtier", "simtier_make"),
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
        "start every epoch as they were at first, dense weights go on."
    ]
    notes += [
        f"{name}: best at epoch {int(np.argmax(curve)) + 1}, last minus first "
        f"{curve[-1] - curve[0]:+.4f}"
        for name, curve in curves.items()
    ]
    ours = {name: _by_epoch(curve) for name, curve in curves.items()}
    theirs = {
        title: _by_epoch(paper.EPOCHS[name])
        for name, title in (("make", "MM-only"), ("id_only", "ID-only"))
    }
    charts = [
        xy_chart(ours, "epoch", "GAUC, ours"),
        xy_chart(theirs, "epoch", "GAUC, the paper's"),
    ]
    header = ["model", *(str(epoch + 1) for epoch in range(epochs))]
    return Section("Figure 3: test GAUC by epoch", header, rows, notes, charts)


def figure_6a(found: Found, data: str) -> Section:
    """Acc@1 of the tower against the gain of SimTier on its vectors."""
    rows, points = [], []
    for name in TOWERS[data]:
        tower = found.where(kind="tower", tower=name).get(0)
        gain = found.gain(found.rankers("simtier", name), of("test", "gauc"))
        if tower is None or gain is None:
            continue
        accuracy = [f"{tower[key]:.4f}" for key in ("acc1", "acc5")]
        rows.append([name, str(tower["taken"]), *accuracy, _text(gain)])
        points.append((tower["acc1"], gain.mean))
    notes = []
    if len(points) > 2:
        x, y = np.array(sorted(points)).T
        ranks = np.corrcoef(np.argsort(np.argsort(x)), np.argsort(np.argsort(y)))
        notes.append(
            f"Acc@1 and gain: rank correlation {ranks[0, 1]:.2f}, correlation "
            f"{np.corrcoef(x, y)[0, 1]:.2f}, over {len(points)} towers."
        )
    truth = found.gain(found.rankers("simtier", TRUTH), of("test", "gauc"))
    if truth is not None:
        notes.append(
            f"With the simulator's own attributes as vectors SimTier gains "
            f"{_text(truth)} %: what a perfect tower would give."
        )
    shown = ", ".join(f"{a:.2f}: +{gain:.2f}" for a, gain in paper.ACCURACY)
    notes.append(f"The paper, Acc@1: GAUC gain in %: {shown}.")
    charts = [
        xy_chart({"ours": sorted(points)}, "Acc@1", "GAUC gain, %, ours"),
        xy_chart({"paper": paper.ACCURACY}, "Acc@1", "GAUC gain, %, the paper's"),
    ]
    header = ["tower", "SCL steps", "Acc@1", "Acc@5", "GAUC gain of SimTier, %"]
    return Section("Figure 6(a): Acc@1 against the gain", header, rows, notes, charts)


def figure_6b(found: Found) -> Section:
    """Gain of both by item frequency."""
    cells = found.rankers("simtier_make")
    some = next(iter(cells.values()), {"groups": []})
    rows, lines = [], {"AUC": [], "LogLoss": []}
    for number, group in enumerate(some["groups"]):
        row = [str(number + 1), group["span"], f"{group['impressions']:,}"]
        for title, metric, better in (("AUC", "auc", 1), ("LogLoss", "log_loss", -1)):
            gain = found.gain(cells, of_group(number, metric), better)
            theirs = paper.GROUPS[metric]
            row += [_text(gain), f"+{theirs[number]:.2f}" if number < 8 else NONE]
            if gain is not None:
                lines[title].append((number + 1.0, gain.mean))
        rows.append(row)
    new = [
        _text(found.gain(cells, of("new", metric), better))
        for metric, better in (("auc", 1), ("log_loss", -1))
    ]
    rows.append(["new", "0", "", new[0], NONE, new[1], NONE])
    notes = [
        f"{title}: the rarest half gains {np.mean(line[: len(line) // 2]):+.2f} %, the "
        f"other half {np.mean(line[len(line) // 2 :]):+.2f} %; trend over the groups "
        f"{np.polyfit(range(len(line)), line, 1)[0]:+.2f} points a group"
        for title, line in ((t, [y for _, y in p]) for t, p in lines.items())
        if len(line) > 1
    ]
    theirs = {
        title: _by_epoch(paper.GROUPS[name])
        for title, name in (("AUC", "auc"), ("LogLoss", "log_loss"))
    }
    charts = [
        xy_chart(lines, "group, 1 = rarest", "relative gain, %, ours"),
        xy_chart(theirs, "group, 1 = rarest", "relative gain, %, the paper's"),
    ]
    header = [
        *("group", "occurrences in training", "impressions", "AUC gain, %"),
        *("paper", "LogLoss gain, %", "paper"),
    ]
    title = "Figure 6(b): SimTier + MAKE over ID-only by item frequency"
    return Section(title, header, rows, notes, charts)


def figure_6c(found: Found, epochs: Sequence[int]) -> Section:
    """Epochs of MAKE before the ranker's one."""
    rows, points = [], []
    ladder: dict[int, Spread] = {}
    for count in epochs:
        gain = found.gain(found.rankers("make", epochs=count), of("test", "gauc"))
        if gain is None:
            continue
        theirs = paper.MAKE_EPOCHS.get(count)
        label = "0 (joint)" if count == 0 else str(count)
        rows.append([label, _text(gain), NONE if theirs is None else f"+{theirs:.2f}"])
        points.append((float(count), gain.mean))
        ladder[count] = gain
    notes = [
        "Snapshots of one fit, whose rate falls to 0 in the last epoch: part of the "
        "last steps' gain is the falling rate's. 0 trains MAKE along with the ranker."
    ]
    for a, b in ((0, epochs[1]), (epochs[1], epochs[-1])):
        if a in ladder and b in ladder and a != b:
            steps = zip(ladder[a].values, ladder[b].values, strict=False)
            notes.append(in_order(f"Gain in GAUC, %: {a} < {b} epochs", steps))
    theirs = [(float(a), b) for a, b in paper.MAKE_EPOCHS.items()]
    charts = [
        xy_chart({"ours": points}, "epochs of MAKE", "GAUC gain, %, ours"),
        xy_chart({"paper": theirs}, "epochs of MAKE", "GAUC gain, %, the paper's"),
    ]
    header = ["epochs of MAKE", "GAUC gain, %", "paper, %"]
    title = "Figure 6(c): pre-training epochs of MAKE"
    return Section(title, header, rows, notes, charts)


def _text(value: Spread | None, digits: int = 2, sign: bool = True) -> str:
    return NONE if value is None else value.text(digits, sign)


def _by_epoch(values: Sequence[float]) -> list[tuple[float, float]]:
    return [(number + 1.0, float(value)) for number, value in enumerate(values)]
