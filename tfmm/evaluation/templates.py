"""The environment that pages are rendered in."""

from __future__ import annotations

from typing import Any

from tfmm.evaluation.charts import line_chart
from tfmm.evaluation.gain_words import bracket, size
from tfmm.evaluation.report_json import pretty


def environment() -> Any:
    """Templates of this folder; an undefined name is an error."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.PackageLoader("tfmm.evaluation", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    made.filters["count"] = lambda n: f"{n:,}"
    made.filters["signed"] = _signed
    made.filters["fixed"] = _fixed
    made.filters["bracket"] = lambda pair: bracket(pair or None).replace("-", "−")
    made.filters["size"] = lambda n: size(n) if n else "none"
    made.filters["words"] = lambda text: str(text).replace("_", " ")
    made.filters["pretty"] = pretty
    made.globals["line_chart"] = line_chart
    return made


def _fixed(value: float | None, digits: int = 4) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _signed(value: float | None, digits: int = 2) -> str:
    if value is None:
        return ""
    return f"{value:+.{digits}f}".replace("-", "−")
