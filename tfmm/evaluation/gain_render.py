"""The gain card for a terminal of any width."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from tfmm.evaluation.gain_cells import interval, percent, plain, signed, value
from tfmm.evaluation.gain_groups_render import groups_table
from tfmm.evaluation.gain_rows import PRODUCTION, GainRow, GainTable
from tfmm.evaluation.gain_values import Gain
from tfmm.evaluation.gain_words import notes, opening, size


@dataclass(frozen=True)
class Heading:
    """A column: its name and how a row fills it."""

    name: str
    cell: Callable[[GainRow], Text]


class GainCard:
    """The opening line, the tables and the notes, laid out for the console's width.

    Args:
        table: What to show.
    """

    def __init__(self, table: GainTable) -> None:
        self._table = table

    def __rich_console__(
        self, console: Console, options: ConsoleOptions
    ) -> RenderResult:
        table = self._table
        if line := opening(table):
            yield Text(line, "bold")
            yield Text()
        ranking, fit = _ranking(table), _fit(table)
        whole = _laid_out(table, table.title, [*ranking, *fit])
        anyhow = options.update(max_width=1000)
        if Measurement.get(console, anyhow, whole).maximum <= options.max_width:
            yield whole
        else:
            yield _laid_out(table, table.title, ranking)
            yield Text()
            yield _laid_out(table, "", fit)
        for further in (groups_table(table), _cost(table)):
            if further is not None:
                yield Text()
                yield further
        yield Text()
        yield Text(notes(table), "dim")


def _ranking(table: GainTable) -> list[Heading]:
    def gain(row: GainRow) -> Gain | None:
        return None if row.name == table.baseline else row.all_gain

    found = [
        Heading("GAUC", lambda row: value(row.all.gauc)),
        Heading("points", lambda row: signed(_of(gain(row), "gauc"))),
        Heading("95 %", lambda row: interval(gain(row))),
        Heading("relative", lambda row: percent(gain(row), "gauc")),
    ]
    if table.rows[0].new is not None:
        found.append(Heading("new\nitems", lambda row: _new(row, table.baseline)))
    return found


def _fit(table: GainTable) -> list[Heading]:
    def gain(row: GainRow) -> Gain | None:
        return None if row.name == table.baseline else row.all_gain

    found = [
        Heading("AUC", lambda row: value(row.all.auc)),
        Heading("points", lambda row: signed(_of(gain(row), "auc"))),
        Heading("LogLoss", lambda row: value(row.all.log_loss)),
        Heading("gain", lambda row: signed(_of(gain(row), "log_loss"), 4, -1)),
        Heading("calib.", lambda row: value(row.all.calibration, 2)),
    ]
    if PRODUCTION in table and table.baseline != PRODUCTION:
        found.append(Heading("over\nprod.", _over_production))
    return found


def _laid_out(table: GainTable, title: str, headings: Sequence[Heading]) -> Table:
    out = plain(title)
    out.add_column("", no_wrap=True)
    for heading in headings:
        out.add_column(heading.name, justify="right", no_wrap=True)
    kind = table.rows[0].kind
    for row in table.rows:
        if row.kind != kind:
            out.add_section()
            kind = row.kind
        style = "dim" if row.kind in ("bar", "best") else ""
        cells = (heading.cell(row) for heading in headings)
        out.add_row(Text(row.title, style), *cells)
    return out


def _cost(table: GainTable) -> Table | None:
    rows = [row for row in table.rows if row.cost is not None]
    if not rows:
        return None
    out = plain("What they cost, steps as the median of each one's own training")
    out.add_column("", no_wrap=True)
    for name in ("ms per step", "times ID-only", "trained parameters", "vectors"):
        out.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        assert row.cost is not None
        times = table.slowdown(row)
        out.add_row(
            row.title,
            f"{1000 * row.cost.seconds_per_step:.1f}",
            "" if times is None else f"{times:.2f}",
            f"{row.cost.parameters:,}",
            size(row.cost.vector_bytes) if row.cost.vector_bytes else "none",
        )
    return out


def _of(gain: Gain | None, metric: str) -> float | None:
    return None if gain is None else getattr(gain, metric)


def _new(row: GainRow, baseline: str) -> Text:
    if row.new is None or row.name == baseline:
        return Text("")
    return signed(_of(row.new_gain, "gauc"))


def _over_production(row: GainRow) -> Text:
    own = row.name == PRODUCTION
    return Text("") if own else signed(_of(row.total.over_production, "gauc"))
