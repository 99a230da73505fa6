"""The gain by item frequency, for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from tfmm.evaluation.gain_cells import interval, percent, plain, signed
from tfmm.evaluation.gain_rows import GainTable
from tfmm.evaluation.gain_values import Part
from tfmm.evaluation.gain_words import plain_title


def groups_table(table: GainTable) -> Table | None:
    """The opening row's gain on new items and in every frequency group.

    Args:
        table: the card; `None` for one without groups.
    """
    row = table.opening
    if row is None or not table.groups or row.new_items is None:
        return None
    out = plain(f"{plain_title(row)} by how often an item occurs in training")
    out.add_column("", no_wrap=True)
    for name in ("in training", "shown", "points", "95 %", "AUC", "LogLoss"):
        out.add_column(name, justify="right", no_wrap=True)
    out.add_row(*_cells("new items", "", row.new_items))
    out.add_section()
    for number, (group, part) in enumerate(zip(table.groups, row.groups, strict=True)):
        name = str(number + 1) if number else "1, rarest"
        out.add_row(*_cells(name, group.span, part))
    return out


def _cells(name: str, times: str, part: Part) -> list[str | Text]:
    return [
        name,
        times,
        f"{part.scores.impressions:,}",
        signed(part.gain.gauc),
        interval(part.gain),
        percent(part.gain, "auc"),
        percent(part.gain, "log_loss"),
    ]
