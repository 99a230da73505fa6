"""Small pictures of points and lines for the report of the paper's tables."""

from collections.abc import Mapping, Sequence

from markupsafe import Markup, escape

from tfmm.evaluation.charts import nice_ticks

Points = Sequence[tuple[float, float]]

_WIDTH, _HEIGHT = 420, 250
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 12, 14, 44
COLOURS = ("#2f5bd0", "#d9622b", "#2f8f5b", "#8a5bd0")


def xy_chart(
    series: Mapping[str, Points], x_label: str, y_label: str, line: bool = True
) -> Markup:
    """Points, joined by lines or not, with a legend.

    Args:
        series: Name -> (x, y) pairs, in order of x.
        x_label: Above it, on the right.
        y_label: Above it.
        line: Whether points are joined.

    Example:
        >>> svg = xy_chart({"ours": [(0.0, 1.0), (2.0, 3.0)]}, "epochs", "gain, %")
        >>> svg.count("<circle"), "epochs" in svg
        (2, True)
    """
    every = [point for points in series.values() for point in points]
    if not every:
        return Markup("")
    xs, ys = zip(*every, strict=True)
    x_ticks, y_ticks = nice_ticks(min(xs), max(xs), 6), nice_ticks(min(ys), max(ys))

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
        up = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
        return (
            _LEFT + across * (_WIDTH - _LEFT - _RIGHT),
            _HEIGHT - _BOTTOM - up * (_HEIGHT - _TOP - _BOTTOM),
        )

    parts = []
    for tick in y_ticks:
        _, y = place(x_ticks[0], tick)
        parts.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{_WIDTH - _RIGHT}"/>')
        parts.append(_text(_LEFT - 6, y + 4, f"{tick:g}", "end"))
    for tick in x_ticks:
        x, _ = place(tick, y_ticks[0])
        parts.append(_text(x, _HEIGHT - _BOTTOM + 16, f"{tick:g}", "middle"))
    parts.append(_text(_LEFT, _TOP - 3, y_label, "start"))
    parts.append(_text(_WIDTH - _RIGHT, _TOP - 3, f"by {x_label}", "end"))
    for number, (name, points) in enumerate(series.items()):
        colour = COLOURS[number % len(COLOURS)]
        parts.append(_series(name, [place(*p) for p in points], points, colour, line))
        parts.append(_text(_LEFT + 92 * number, _HEIGHT - 6, name, "start", colour))
    return Markup(
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(y_label)} by {escape(x_label)}">{"".join(parts)}</svg>'
    )


def _series(name: str, places: Points, points: Points, colour: str, line: bool) -> str:
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in places)
    drawn = f'<path d="M{path}" fill="none" stroke="{colour}"/>' if line else ""
    dots = "".join(
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}">'
        f"<title>{escape(name)}: {a:g}, {b:.4g}</title></circle>"
        for (x, y), (a, b) in zip(places, points, strict=True)
    )
    return drawn + dots


def _text(x: float, y: float, text: str, anchor: str, colour: str = "") -> str:
    fill = f' style="fill:{colour}"' if colour else ""
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{fill}>'
        f"{escape(text)}</text>"
    )
