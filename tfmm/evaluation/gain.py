"""The gain card: what multimodal vectors add to an ID-only model."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from tfmm.errors import TfmmError
from tfmm.evaluation.alignment import aligned
from tfmm.evaluation.columns import Columns
from tfmm.evaluation.gain_parts import parts
from tfmm.evaluation.gain_rows import PRODUCTION, GainRow, GainTable
from tfmm.evaluation.gain_values import Cost, Part
from tfmm.evaluation.item_groups import ItemGroup, item_groups, new_items


def gain_table(
    rows: Mapping[str, Columns],
    best: Columns | None = None,
    baseline: str = "id_only",
    bars: Mapping[str, Columns] | None = None,
    embedding_row: NDArray[np.integer] | None = None,
    train_count: NDArray[np.integer] | None = None,
    costs: Mapping[str, Cost] | None = None,
    draws: int = 1000,
    seed: int = 0,
) -> GainTable:
    """Compares scores of the same impressions with the baseline's.

    Intervals are the middle 95 % over resamples in which users are drawn with
    replacement, the same ones for every score: exact for GAUC and LogLoss, to the first
    order for AUC (`tfmm.evaluation.user_sums`).

    Args:
        rows: model name -> its scored impressions, all of the same test requests in any
            order. A row named "production" is the production model's logged score
            (`collect_logged`); differences to it are given besides those to the
            baseline.
        best: those impressions under the true click probability, if it is known.
        baseline: the name in `rows` that differences refer to.
        bars: further scores to beat, such as item mean + user mean; they need not be
            probabilities. Bars and best may hold more impressions than the models saw
            (those that a cap left out); the others are ignored.
        embedding_row: int32 `[catalog rows]`; items whose embedding row is below 2 were
            not in training (or too rare there) and get columns of their own.
        train_count: int64 `[catalog rows]`, occurrences in training; with
            `embedding_row`, the trained items in eight groups by frequency.
        costs: model name -> what it takes.
        draws: resamples of users; 0 for no intervals.
        seed: of the resamples.

    Raises:
        TfmmError: a missing baseline, or impressions that differ between the rows.

    Example:
        >>> column = np.array([0, 0, 1, 1])
        >>> good = Columns(column, column + 2, column, [0, 1, 0, 1],
        ...                [0.1, 0.9, 0.2, 0.8], column)
        >>> table = gain_table({"id_only": good.with_probability([0.5] * 4),
        ...                     "simtier": good})
        >>> table["simtier"].all.gauc, table["simtier"].all_gain.gauc
        (1.0, 50.0)
    """
    if baseline not in rows:
        raise TfmmError(
            f"The gain table needs its baseline {baseline!r}. "
            f"Received: {list(rows)}. Evaluate the baseline too."
        )
    lines = _lines(rows, best, baseline, bars or {})
    names = [name for _, name, _ in lines]
    scored = [columns for *_, columns in lines]
    production = names.index(PRODUCTION) if PRODUCTION in rows else None

    def measured(chosen: NDArray[np.bool_] | None) -> list[Part]:
        some = scored if chosen is None else [c.select(chosen) for c in scored]
        return parts(some, 0, production, draws, seed)

    groups, masks, new = _slices(scored[0], embedding_row, train_count)
    total = measured(None)
    fresh = None if new is None else measured(new)
    by_group = [measured(mask) for mask in masks]
    table = tuple(
        GainRow(
            name,
            kind,
            total[i],
            None if fresh is None else fresh[i],
            tuple(group[i] for group in by_group),
            (costs or {}).get(name),
        )
        for i, (kind, name, _) in enumerate(lines)
    )
    return GainTable(baseline, table, groups, draws)


def _lines(
    rows: Mapping[str, Columns],
    best: Columns | None,
    baseline: str,
    bars: Mapping[str, Columns],
) -> list[tuple[str, str, Columns]]:
    """(kind, name, score) of every row, in the baseline's order of impressions."""
    models = [baseline, *(name for name in rows if name not in (baseline, PRODUCTION))]
    if baseline != PRODUCTION and PRODUCTION in rows:
        models.append(PRODUCTION)
    lines = [
        ("production" if name == PRODUCTION else "model", name, rows[name])
        for name in models
    ]
    lines += [("bar", name, columns) for name, columns in bars.items()]
    lines += [] if best is None else [("best", "best", best)]
    reference = rows[baseline]
    return [
        (kind, name, aligned(reference, c, name, exact=kind in ("model", "production")))
        for kind, name, c in lines
    ]


def _slices(
    columns: Columns,
    embedding_row: NDArray[np.integer] | None,
    train_count: NDArray[np.integer] | None,
) -> tuple[tuple[ItemGroup, ...], list[NDArray[np.bool_]], NDArray[np.bool_] | None]:
    """The frequency groups, which impressions are theirs, and those of new items."""
    if embedding_row is None:
        return (), [], None
    new = new_items(columns, embedding_row)
    if train_count is None:
        return (), [], new
    groups, of_row = item_groups(columns, train_count, ~new)
    return groups, [of_row == number for number in range(len(groups))], new
