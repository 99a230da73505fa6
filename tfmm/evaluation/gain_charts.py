"""Pictures of the gain: by model, and by how often items occur in training."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from tfmm.evaluation.bootstrap import Interval
from tfmm.evaluation.charts import nice_ticks
from tfmm.evaluation.gain_rows import GainRow, GainTable
from tfmm.evaluation.gain_values import Gain
from tfmm.evaluation.gain_words import plain_title

_WIDTH, _LINE, _NAMES, _VALUES = 580, 26, 152, 64
_COLUMN, _LEFT, _PLOT, _TOP = 38, 48, 150, 8
_HEAD = 28
_STYLE = """
text { font-family: system-ui, sans-serif; fill: #1c1d21; font-size: 12px }
.title { font-size: 13px; font-weight: 600 } .tick { fill: #62656e; font-size: 11.5px }
.grid { stroke: #e4e2dc; fill: none } .zero { stroke: #62656e; fill: none }
.whisker { stroke: #1c1d21; stroke-width: 1.5; fill: none }
.model { fill: #2f5bd0 } .new { fill: #d9622b }
.bar, .best, .production { fill: #b9bcc4 }
"""


@dataclass(frozen=True)
class Bar:
    """One bar of a picture.

    Args:
        name: What stands beside it.
        value: Where it ends.
        interval: The whisker's ends, if any.
        style: CSS class.
        hint: What a pointer over it shows.
    """

    name: str
    value: float
    interval: Interval | None
    style: str
    hint: str = ""


def gain_chart(table: GainTable) -> Markup:
    """Horizontal bars: points of GAUC over the baseline, with 95 % whiskers.

    Args:
        table: the card; an empty picture when no difference is known.
    """
    bars = [
        Bar(row.title, gain.gauc, gain.intervals.get("gauc"), row.kind)
        for row in table.rows
        for gain in [row.all_gain]
        if row.name != table.baseline and gain.gauc is not None
    ]
    return _rows(bars, table.title.replace("Gain", "Points of GAUC", 1))


def group_charts(table: GainTable) -> dict[str, Markup]:
    """Columns by item frequency: the opening row's relative gains, as figure 6(b).

    Args:
        table: the card; no pictures when it has no groups.

    Returns:
        "auc" and "log_loss" -> the picture, new items first, then the rarest.
    """
    row = table.opening
    if row is None or not table.groups:
        return {}
    found = {}
    for metric, name in (("auc", "AUC"), ("log_loss", "LogLoss")):
        bars = _group_bars(table, row, metric)
        if bars:
            label = f"{plain_title(row)}: {name}, relative gain in %"
            found[metric] = _columns(bars, label)
    return found


def standalone(svg: Markup) -> str:
    """A picture as a file of its own, with its style inside."""
    opened = 'xmlns="http://www.w3.org/2000/svg" viewBox='
    head, _, rest = str(svg).replace("viewBox=", opened, 1).partition(">")
    paper = '<rect width="100%" height="100%" fill="#fff"/>'
    return f"{head}><style>{_STYLE}</style>{paper}{rest}\n"


def pictures(table: GainTable) -> Mapping[str, str]:
    """File name -> SVG of every picture of the card."""
    found = {"gain.svg": gain_chart(table)}
    for metric, svg in group_charts(table).items():
        found[f"groups_{metric}.svg"] = svg
    return {name: standalone(svg) for name, svg in found.items() if svg}


def _group_bars(table: GainTable, row: GainRow, metric: str) -> list[Bar]:
    def bar(name: str, gain: Gain, style: str, hint: str) -> list[Bar]:
        value = gain.relative.get(metric)
        whisker = gain.relative_intervals.get(metric)
        return [] if value is None else [Bar(name, value, whisker, style, hint)]

    bars = []
    if row.new_items is not None:
        bars += bar("new", row.new_items.gain, "new", "items new to training")
    for number, (group, part) in enumerate(zip(table.groups, row.groups, strict=True)):
        hint = f"{group.span} times in training, {group.impressions:,} impressions"
        bars += bar(str(number + 1), part.gain, "model", hint)
    return bars


def _ticks(bars: Sequence[Bar]) -> list[float]:
    ends = [end for bar in bars for end in (bar.value, *(bar.interval or ()))]
    return nice_ticks(min(0.0, *ends), max(0.0, *ends), 5)


def _rows(bars: Sequence[Bar], label: str) -> Markup:
    if not bars:
        return Markup("")
    ticks = _ticks(bars)
    bottom = _LINE * len(bars) + 6

    def across(value: float) -> float:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return round(_NAMES + share * (_WIDTH - _NAMES - _VALUES), 1)

    parts = [
        f'<path class="{"zero" if tick == 0 else "grid"}" d="M{across(tick)} 2'
        f'V{bottom}"/><text class="tick" x="{across(tick)}" y="{bottom + 16}" '
        f'text-anchor="middle">{_number(tick, ticks)}</text>'
        for tick in ticks
    ]
    for line, bar in enumerate(bars):
        y = _LINE * line + _LINE / 2 + 2
        left, right = sorted((across(0), across(bar.value)))
        parts.append(
            f'<text class="name" x="{_NAMES - 10}" y="{y + 4}" text-anchor="end">'
            f'{escape(bar.name)}</text><rect class="{bar.style}" x="{left}" '
            f'y="{y - 7}" width="{right - left:.1f}" height="14" rx="2"/>'
            f'<text class="name" x="{_WIDTH - _VALUES + 12}" y="{y + 4}">'
            f"{bar.value:+.2f}</text>"
        )
        if bar.interval:
            low, high = map(across, bar.interval)
            parts.append(
                f'<path class="whisker" d="M{low} {y}H{high}M{low} {y - 4}v8'
                f'M{high} {y - 4}v8"/>'
            )
    return _svg(_WIDTH, bottom + 24, label, parts)


def _columns(bars: Sequence[Bar], label: str) -> Markup:
    ticks = _ticks(bars)
    right = _LEFT + _COLUMN * len(bars) + 6

    def up(value: float) -> float:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return round(_TOP + (1 - share) * _PLOT, 1)

    parts = [
        f'<path class="{"zero" if tick == 0 else "grid"}" d="M{_LEFT} {up(tick)}'
        f'H{right}"/><text class="tick" x="{_LEFT - 8}" y="{up(tick) + 4}" '
        f'text-anchor="end">{_number(tick, ticks)}</text>'
        for tick in ticks
    ]
    for place, bar in enumerate(bars):
        x = _LEFT + _COLUMN * place + _COLUMN / 2 + 3
        top, bottom = sorted((up(0), up(bar.value)))
        parts.append(
            f'<rect class="{bar.style}" x="{x - 10}" y="{top}" width="20" '
            f'height="{bottom - top:.1f}" rx="2"><title>{escape(bar.hint)}: '
            f"{bar.value:+.2f} %</title></rect>"
            f'<text class="tick" x="{x}" y="{_TOP + _PLOT + 18}" '
            f'text-anchor="middle">{escape(bar.name)}</text>'
        )
        if bar.interval:
            low, high = map(up, bar.interval)
            parts.append(
                f'<path class="whisker" d="M{x} {low}V{high}M{x - 4} {low}h8'
                f'M{x - 4} {high}h8"/>'
            )
    parts.append(
        f'<text class="tick" x="{right}" y="{_TOP + _PLOT + 36}" text-anchor="end">'
        "items by occurrences in training, 1 the rarest</text>"
    )
    return _svg(right + 6, _TOP + _PLOT + 44, label, parts)


def _number(tick: float, ticks: Sequence[float]) -> str:
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0]) + 1e-9))
    return f"{tick:.{digits}f}"


def _svg(width: float, height: float, label: str, parts: Sequence[str]) -> Markup:
    """A picture with its title above it."""
    return Markup(
        f'<svg class="chart" viewBox="0 0 {width:g} {height + _HEAD:g}" role="img" '
        f'aria-label="{escape(label)}"><text class="title" x="4" y="15">'
        f'{escape(label)}</text><g transform="translate(0 {_HEAD})">{"".join(parts)}'
        "</g></svg>"
    )
