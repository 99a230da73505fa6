"""GAUC of 200,000 impressions of 10,000 users against loops over users.

    python -m benchmarks.gauc [--size smoke|standard]

The peers pick a user's rows one user after the other: a loop with scikit-learn's
`roc_auc_score` (where it is installed, in one run alone), one that compares all pairs
by numpy, and one with strict `>` only, as the published code of MUSE counts in a batch.
All get rows in random order. Medians of runs in turn; the last column is the deviation
from our value.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from tfmm.evaluation import StreamingGauc, gauc

SIZES = {"standard": (200_000, 10_000, 5), "smoke": (2_000, 100, 1)}
UPDATE = 4_096
SLOW = "loop, roc_auc_score"
UserAuc = Callable[[NDArray[np.bool_], NDArray[np.float64]], float]
Columns = tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.float64]]


def impressions(rows: int, users: int) -> Columns:
    """Rows in random order, one in seven positive, every fifth score tied."""
    rng = np.random.default_rng(0)
    keys = rng.integers(-(2**62), 2**62, users)
    user = keys[rng.integers(0, users, rows)]
    score = rng.normal(size=rows)
    label = rng.random(rows) < 1 / (1 + np.exp(2.2 - score))
    return user, label, np.where(rng.random(rows) < 0.2, np.round(score), score)


def all_pairs(label: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    more = score[label][:, None] - score[~label]
    return float((more > 0).mean() + (more == 0).mean() / 2)


def strict_pairs(label: NDArray[np.bool_], score: NDArray[np.float64]) -> float:
    return float((score[label][:, None] > score[~label]).mean())


def loop(columns: Columns, user_auc: UserAuc) -> float:
    users, labels, scores = columns
    total, weight = 0.0, 0
    for user in np.unique(users):
        mine = users == user
        label = labels[mine]
        if 0 < label.sum() < len(label):
            total += len(label) * user_auc(label, scores[mine])
            weight += len(label)
    return total / weight


def streamed(columns: Columns) -> float:
    """In updates of 4,096 rows."""
    state = StreamingGauc()
    for start in range(0, len(columns[0]), UPDATE):
        state.update(*(column[start : start + UPDATE] for column in columns))
    return state.result().value


def cases(columns: Columns) -> dict[str, Callable[[], float]]:
    found = {
        "tfmm.evaluation.gauc": lambda: gauc(*columns).value,
        "StreamingGauc": lambda: streamed(columns),
        "loop, all pairs": lambda: loop(columns, all_pairs),
        "loop, strict pairs (MUSE)": lambda: loop(columns, strict_pairs),
    }
    try:
        from sklearn.metrics import roc_auc_score
    except ImportError:
        print("scikit-learn is not installed: its loop is left out")
    else:
        found[SLOW] = lambda: loop(columns, roc_auc_score)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    rows, users, runs = SIZES[parser.parse_args().size]
    chosen = cases(impressions(rows, users))
    seconds: dict[str, list[float]] = {name: [] for name in chosen}
    values: dict[str, float] = {}
    for run in range(runs):
        for name, measure in chosen.items():
            if run and name == SLOW:
                continue
            begin = time.perf_counter()
            values[name] = measure()
            seconds[name].append(time.perf_counter() - begin)
    ours = next(iter(chosen))
    table = Table(title=f"GAUC of {rows:,} rows, {users:,} users")
    for heading in ("", "seconds", "times ours", "GAUC", "deviation"):
        table.add_column(heading, justify="right" if heading else "left")
    for name in chosen:
        took = median(seconds[name])
        table.add_row(
            name,
            f"{took:.4f}",
            f"{took / median(seconds[ours]):.1f}",
            f"{values[name]:.6f}",
            f"{values[name] - values[ours]:.1e}",
        )
    Console().print(table)


if __name__ == "__main__":
    main()
