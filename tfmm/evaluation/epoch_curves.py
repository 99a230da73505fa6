"""GAUC by epoch of several models, as a table and as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markupsafe import Markup

from tfmm.evaluation.charts import line_chart


def epoch_table(curves: Mapping[str, Sequence[float]]) -> str:
    """Curves by epoch as a Markdown table.

    Args:
        curves: Name of a model -> one value per epoch.

    Example:
        >>> print(epoch_table({"id_only": [0.66, 0.64], "make": [0.58, 0.6]}))
        | epoch | 1 | 2 |
        |---|---|---|
        | id_only | 0.6600 | 0.6400 |
        | make | 0.5800 | 0.6000 |
    """
    epochs = max((len(line) for line in curves.values()), default=0)
    rows = [
        "| epoch | " + " | ".join(str(epoch + 1) for epoch in range(epochs)) + " |",
        "|" + "---|" * (epochs + 1),
    ]
    for name, line in curves.items():
        cells = [f"{value:.4f}" for value in line] + [""] * (epochs - len(line))
        rows.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def epoch_chart(curves: Mapping[str, Sequence[float]]) -> Markup:
    """Curves by epoch as an SVG, each a group of the class of its name.

    Args:
        curves: Name of a model (one word) -> one value per epoch.

    Example:
        >>> epoch_chart({"make": [0.58, 0.6]}).count("<circle")
        2
    """
    return line_chart(curves, "Test GAUC by epoch")
