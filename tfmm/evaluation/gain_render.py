"""The gain table for a terminal."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from tfmm.evaluation.gain_rows import Gain, GainRow, GainTable, Scores


def render(table: GainTable) -> Table:
    """Lays the gain table out with `rich`, new items apart where they are known."""
    first = table.rows[0]
    with_new = first.new is not None
    out = Table(
        title="Gain over ID-only on the test requests",
        caption=_caption(first),
        title_justify="left",
        caption_justify="left",
        show_edge=False,
        pad_edge=False,
    )
    out.add_column("", no_wrap=True)
    for name in ("GAUC", "gain", "± s.e.", "AUC", "gain", "LogLoss", "gain"):
        out.add_column(name, justify="right", no_wrap=True)
    if with_new:
        for name in ("new items GAUC", "gain"):
            out.add_column(name, justify="right")
    kind = first.kind
    for row in table.rows:
        if row.kind != kind:
            out.add_section()
            kind = row.kind
        out.add_row(*_cells(row, row.name == table.baseline, with_new))
    return out


def _cells(row: GainRow, is_baseline: bool, with_new: bool) -> list[Text]:
    style = {"best": "dim", "bar": "dim"}.get(row.kind, "")
    cells = [Text(row.title, style), *_metrics(row.all, row.all_gain, is_baseline)]
    if with_new:
        new = row.new.gauc if row.new else None
        gain = row.new_gain.gauc if row.new_gain else None
        cells += [_value(new), _points(None if is_baseline else gain)]
    return cells


def _metrics(scores: Scores, gain: Gain, is_baseline: bool) -> list[Text]:
    if is_baseline:
        gain = Gain(None, None, None, None)
    error = gain.gauc_error
    return [
        _value(scores.gauc),
        _points(gain.gauc),
        Text("" if error is None else f"{error:.2f}", "dim"),
        _value(scores.auc),
        _points(gain.auc),
        _value(scores.log_loss),
        _signed(gain.log_loss, 4, better=-1),
    ]


def _caption(first: GainRow) -> str:
    scores = first.all
    text = (
        f"{scores.impressions:,} impressions, {scores.positives:,} positive. GAUC over "
        f"{scores.users:,} users with both classes, {scores.usable_share:.0%} of the "
        "impressions. Gains are absolute, GAUC and AUC in points of 0.01."
    )
    if first.new is not None:
        text += f" {first.new.impressions:,} impressions are of items new to training."
    return text


def _value(value: float | None) -> Text:
    return Text("–", "dim") if value is None else Text(f"{value:.4f}")


def _points(value: float | None) -> Text:
    return _signed(value, 2, better=1)


def _signed(value: float | None, digits: int, better: int) -> Text:
    if value is None:
        return Text("")
    return Text(f"{value:+.{digits}f}", "green" if value * better > 0 else "red")
