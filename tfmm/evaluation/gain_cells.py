"""Cells of the gain card's tables in a terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table
from rich.text import Text

from tfmm.evaluation.gain_values import Gain
from tfmm.evaluation.gain_words import bracket


def plain(title: str) -> Table:
    """An empty table in the card's style."""
    return Table(
        title=title or None,
        title_justify="left",
        box=box.SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, 1, 0, 0),
        header_style="dim",
    )


def value(number: float | None, digits: int = 4) -> Text:
    """A metric; a dash where it is undefined."""
    return Text("–", "dim") if number is None else Text(f"{number:.{digits}f}")


def signed(number: float | None, digits: int = 2, better: int = 1) -> Text:
    """A difference, green where it is better."""
    if number is None:
        return Text("")
    return Text(f"{number:+.{digits}f}", _colour(number * better))


def percent(gain: Gain | None, metric: str) -> Text:
    """A relative gain."""
    found = None if gain is None else gain.relative.get(metric)
    if found is None:
        return Text("")
    return Text(f"{found:+.2f} %", _colour(found))


def _colour(good: float) -> str:
    return "green" if good > 0 else "red" if good < 0 else ""


def interval(gain: Gain | None, metric: str = "gauc") -> Text:
    """An interval in brackets."""
    return Text("" if gain is None else bracket(gain.intervals.get(metric)), "dim")
