"""The gain table: what multimodal vectors add to an ID-only model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from tfmm.errors import TfmmError
from tfmm.evaluation.alignment import aligned
from tfmm.evaluation.columns import Columns
from tfmm.evaluation.gain_rows import Gain, GainRow, GainTable, Scores
from tfmm.evaluation.metrics import (
    UserAucs,
    auc,
    calibration,
    log_loss,
    user_aucs,
    weighted_auc,
)

FIRST_KEPT = 2  # embedding rows below this one are shared by rare and new items


def gain_table(
    rows: Mapping[str, Columns],
    best: Columns | None = None,
    baseline: str = "id_only",
    bars: Mapping[str, Columns] | None = None,
    embedding_row: NDArray[np.integer] | None = None,
) -> GainTable:
    """Compares scores of the same impressions with the ID-only model's.

    Args:
        rows: model name -> its scored impressions, all of the same test requests in any
            order.
        best: those impressions under the true click probability, if it is known.
        baseline: the name in `rows` that differences refer to.
        bars: further scores to beat, such as item mean + user mean; they need not be
            probabilities. Bars and best may hold more impressions than the models saw
            (those that a cap left out); the others are ignored.
        embedding_row: int32 `[catalog rows]`; items whose embedding row is below 2 were
            not in training (or too rare there) and get columns of their own.

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
            f"Received: {list(rows)}. Evaluate the ID-only model too."
        )
    order = [baseline, *(name for name in rows if name != baseline)]
    lines = [("model", name, rows[name]) for name in order]
    lines += [("bar", name, columns) for name, columns in (bars or {}).items()]
    lines += [] if best is None else [("best", "best", best)]
    reference = rows[baseline]
    lines = [
        (kind, name, aligned(reference, columns, name, exact=kind == "model"))
        for kind, name, columns in lines
    ]
    base, *others = _measured_all([columns for *_, columns in lines])
    table = [
        GainRow(name, kind, mine[0], _gain(mine, base))
        for (kind, name, _), mine in zip(lines, [base, *others], strict=True)
    ]
    if embedding_row is not None:
        new = _new_items(reference, embedding_row)
        base, *others = _measured_all([columns.select(new) for *_, columns in lines])
        table = [
            replace(row, new=mine[0], new_gain=_gain(mine, base))
            for row, mine in zip(table, [base, *others], strict=True)
        ]
    return GainTable(baseline, tuple(table))


_Measured = tuple[Scores, UserAucs | None]


def _measured_all(lines: list[Columns]) -> list[_Measured]:
    return [_measured(columns) for columns in lines]


def _measured(columns: Columns) -> _Measured:
    """All metrics of one score, and the users' AUCs where there are any."""
    y, p = columns.label, columns.probability
    both = len(y) > 0 and 0 < y.sum() < len(y)
    probable = len(y) > 0 and p.min() >= 0 and p.max() <= 1
    grouped = user_aucs(columns.user_key, y, p) if both else None
    if grouped is not None and not len(grouped.aucs):
        grouped = None
    scores = Scores(
        impressions=len(y),
        positives=int(y.sum()),
        users=len(grouped.aucs) if grouped else 0,
        usable_share=grouped.usable_share if grouped else 0.0,
        gauc=weighted_auc(grouped).value if grouped else None,
        auc=auc(y, p) if both else None,
        log_loss=log_loss(y, p) if probable else None,
        calibration=calibration(y, p) if probable and y.any() else None,
    )
    return scores, grouped


def _gain(mine: _Measured, base: _Measured) -> Gain:
    """Differences of one score to the baseline's on the same impressions.

    The standard error is that of a ratio over users, which are paired:
    `sqrt(sum_u n_u^2 (d_u - D)^2) / sum_u n_u` with `d_u` a user's difference in AUC.
    """
    error = None
    if mine[1] is not None and base[1] is not None:
        n, d = mine[1].impressions, mine[1].aucs - base[1].aucs
        spread = n * (d - np.average(d, weights=n))
        error = 100 * float(np.sqrt(np.square(spread).sum()) / n.sum())
    a, b = mine[0], base[0]
    return Gain(
        gauc=_difference(a.gauc, b.gauc, 100),
        gauc_error=error,
        auc=_difference(a.auc, b.auc, 100),
        log_loss=_difference(a.log_loss, b.log_loss, 1),
    )


def _difference(a: float | None, b: float | None, scale: float) -> float | None:
    return None if a is None or b is None else scale * (a - b)


def _new_items(
    columns: Columns, embedding_row: NDArray[np.integer]
) -> NDArray[np.bool_]:
    if len(columns) and columns.item.max() >= len(embedding_row):
        raise TfmmError(
            "The impressions name items beyond the vocabulary's table. Received: row "
            f"{columns.item.max()} of {len(embedding_row)}. "
            "Use the vocabularies of the same run."
        )
    return np.asarray(embedding_row)[columns.item] < FIRST_KEPT
