"""The line that a gain card opens with, and what stands below its tables."""

from __future__ import annotations

from tfmm.evaluation.gain_rows import GainRow, GainTable, title_of
from tfmm.evaluation.gain_values import Gain


def opening(table: GainTable) -> str:
    """The gain overall, on new items and on the rarest, beside what it costs.

    Args:
        table: the card; an empty string when it has the baseline alone.
    """
    row = table.opening
    if row is None:
        return ""
    base = title_of(table.baseline)
    text = f"{plain_title(row)} over {base}: {points(row.all_gain)} of GAUC"
    places = [
        ("on new items", row.new_items),
        ("on the rarest trained items", row.groups[0] if row.groups else None),
    ]
    said = [
        f"{points(part.gain)} {where}"
        for where, part in places
        if part is not None and part.gain.gauc is not None
    ]
    if said:
        text = f"{text} in all, {', '.join(said)}"
    return "; ".join([text, *cost_words(table, row)]) + "."


def cost_words(table: GainTable, row: GainRow) -> list[str]:
    """What a row costs: its step beside ID-only's, its weights, its vectors."""
    if row.cost is None:
        return []
    slowdown = table.slowdown(row)
    step = f"a training step of {1000 * row.cost.seconds_per_step:.1f} ms"
    if slowdown is not None and row.name != "id_only":
        step += f", {slowdown:.2f} times ID-only's"
    weights = f"{row.cost.parameters:,} trained parameters"
    return [step, weights, f"{size(row.cost.vector_bytes)} of vectors"]


def points(gain: Gain) -> str:
    """A difference in points of GAUC with its interval.

    Example:
        >>> points(Gain(1.5, 0.5, None, None, {"gauc": (0.25, 2.75)}))
        '+1.50 points [+0.25, +2.75]'
    """
    if gain.gauc is None:
        return "no difference known"
    return f"{gain.gauc:+.2f} points {bracket(gain.intervals.get('gauc'))}".rstrip()


def bracket(pair: tuple[float, float] | None, digits: int = 2) -> str:
    """An interval in brackets; nothing where there is none."""
    return "" if pair is None else f"[{pair[0]:+.{digits}f}, {pair[1]:+.{digits}f}]"


def size(count: int) -> str:
    """A number of bytes for people.

    Example:
        >>> size(512), size(2_500_000)
        ('512 bytes', '2.5 MB')
    """
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.1f} {unit}"
    return f"{count} bytes"


def plain_title(row: GainRow) -> str:
    """A row's title at the start of a sentence."""
    return row.title.removeprefix("+ ")


def notes(table: GainTable) -> str:
    """What the numbers rest on and what they mean."""
    first = table.rows[0]
    scores = first.all
    text = (
        f"{scores.impressions:,} impressions, {scores.positives:,} positive. GAUC over "
        f"{scores.users:,} users with both classes, {scores.usable_share:.0%} of the "
        "impressions. Points are 0.01 of GAUC and AUC; relative gains are in per cent "
        "of the baseline's value, better above 0."
    )
    if table.draws:
        text += (
            f" Intervals: the middle 95 % when users are drawn anew {table.draws:,} "
            "times, the same users for both models; they say nothing of other seeds of "
            "training."
        )
    if first.new is not None:
        text += f" {first.new.impressions:,} impressions are of items new to training."
    return text
