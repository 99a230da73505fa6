"""Small SVG charts whose colours follow the page's theme."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from markupsafe import Markup, escape

WIDTH, HEIGHT = 340, 190
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 10, 8, 26

_Place = Callable[[int, float], tuple[float, float]]


def line_chart(series: Mapping[str, Sequence[float | None]], label: str) -> Markup:
    """Curves over epochs, each of the class of its name, for CSS to colour.

    Args:
        series: name (one word) -> one value per epoch; values that are `None` or not
            finite leave a gap.
        label: what the chart shows, for screen readers.

    Example:
        >>> svg = line_chart({"loss": [0.9, 0.5]}, "Loss per epoch")
        >>> svg.count("<circle"), "Loss per epoch" in svg
        (2, True)
    """
    values = [v for line in series.values() for v in line if v is not None]
    values = [v for v in values if math.isfinite(v)]
    epochs = max((len(line) for line in series.values()), default=0)
    if not values:
        return Markup("")
    ticks = nice_ticks(min(values), max(values))
    low, high = ticks[0], ticks[-1]

    def place(epoch: int, value: float) -> tuple[float, float]:
        across = 0.5 if epochs == 1 else epoch / (epochs - 1)
        up = (value - low) / (high - low)
        return (
            _LEFT + across * (WIDTH - _LEFT - _RIGHT),
            HEIGHT - _BOTTOM - up * (HEIGHT - _TOP - _BOTTOM),
        )

    parts = [_axis(ticks, epochs, place)]
    for name, line in series.items():
        parts.append(_curve(name, line, place))
    return Markup(
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(label)}">{"".join(parts)}</svg>'
    )


def nice_ticks(low: float, high: float, about: int = 4) -> list[float]:
    """Round numbers that enclose a range, some `about` steps apart.

    Example:
        >>> nice_ticks(0.13, 0.58)
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]
    """
    if high - low <= 1e-9 * max(abs(low), abs(high), 1e-9):
        low, high = low - max(abs(low), 1) * 0.05, high + max(abs(high), 1) * 0.05
    rough = (high - low) / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((1, 2, 5, 10), key=lambda s: abs(math.log(s * power / rough))) * power
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    digits = max(0, -math.floor(math.log10(step)))
    return [round(i * step, digits) + 0.0 for i in range(first, last + 1)]


def _axis(ticks: list[float], epochs: int, place: _Place) -> str:
    digits = max(0, -math.floor(math.log10(ticks[1] - ticks[0])))
    parts = []
    for tick in ticks:
        _, y = place(0, tick)
        parts.append(
            f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>'
            f'<text class="tick" x="{_LEFT - 8}" y="{y + 3.5:.1f}" '
            f'text-anchor="end">{tick:.{digits}f}</text>'
        )
    step = max(1, math.ceil(epochs / 10))
    for epoch in range(0, epochs, step):
        x, _ = place(epoch, ticks[0])
        parts.append(
            f'<text class="tick" x="{x:.1f}" y="{HEIGHT - _BOTTOM + 18}" '
            f'text-anchor="middle">{epoch + 1}</text>'
        )
    return "".join(parts)


def _curve(name: str, line: Sequence[float | None], place: _Place) -> str:
    path, dots, pen = "", "", "M"
    for epoch, value in enumerate(line):
        if value is None or not math.isfinite(value):
            pen = "M"
            continue
        x, y = place(epoch, value)
        path, pen = f"{path}{pen}{x:.1f} {y:.1f}", "L"
        dots += (
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"><title>{escape(name)}, epoch '
            f"{epoch + 1}: {value:.4f}</title></circle>"
        )
    return f'<g class="curve {escape(name)}"><path d="{path}"/>{dots}</g>'
