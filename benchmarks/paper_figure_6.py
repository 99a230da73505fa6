"""Figure 6 in our setting: tower against gain, item frequency, epochs of MAKE."""

from collections.abc import Sequence

import numpy as np

from benchmarks import paper_numbers as paper
from benchmarks.paper_charts import xy_chart
from benchmarks.paper_figures import (
    Found,
    Spread,
    in_order,
    of,
    of_group,
    of_shared_seeds,
)
from benchmarks.paper_sections import NONE, Section, by_epoch, text
from benchmarks.paper_towers import TOWERS, TRUTH


def figure_6a(found: Found, data: str) -> Section:
    """Acc@1 of the tower against the gain of SimTier on its vectors."""
    rows, points = [], []
    rankers = {name: found.rankers("simtier", name) for name in TOWERS[data]}
    for name, cells in of_shared_seeds(rankers).items():
        tower = found.where(kind="tower", tower=name).get(0)
        gain = found.gain(cells, of("test", "gauc"))
        if tower is None or gain is None:
            continue
        accuracy = [f"{tower[key]:.4f}" for key in ("acc1", "acc5")]
        rows.append([name, str(tower["taken"]), *accuracy, text(gain)])
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
            f"{text(truth)} %: what a perfect tower would give."
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
            row += [text(gain), f"+{theirs[number]:.2f}" if number < 8 else NONE]
            if gain is not None:
                lines[title].append((number + 1.0, gain.mean))
        rows.append(row)
    new = [
        text(found.gain(cells, of("new", metric), better))
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
        title: by_epoch(paper.GROUPS[name])
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
    rankers = {count: found.rankers("make", epochs=count) for count in epochs}
    for count, cells in of_shared_seeds(rankers).items():
        gain = found.gain(cells, of("test", "gauc"))
        if gain is None:
            continue
        theirs = paper.MAKE_EPOCHS.get(count)
        label = "0 (joint)" if count == 0 else str(count)
        rows.append([label, text(gain), NONE if theirs is None else f"+{theirs:.2f}"])
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
