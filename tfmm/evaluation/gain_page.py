"""The gain card as a page, and what the run's report shows of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfmm.evaluation.gain_charts import gain_chart, group_charts, pictures
from tfmm.evaluation.gain_rows import GainTable
from tfmm.evaluation.gain_words import notes, opening
from tfmm.evaluation.templates import environment


def write_card(folder: str | Path, table: GainTable, name: str) -> Path:
    """Writes the card's numbers, pictures and page.

    `gain.json`, `gain.svg`, `groups_auc.svg` and `groups_log_loss.svg` (by item
    frequency), and `gain.html`, which holds them all and loads nothing.

    Args:
        folder: an existing folder.
        table: the card.
        name: the page's title.

    Returns:
        The page's path.
    """
    folder = Path(folder)
    table.save(folder / "gain.json")
    for file, svg in pictures(table).items():
        (folder / file).write_text(svg, encoding="utf-8")
    page = environment().get_template("gain_page.html.j2")
    path = folder / "gain.html"
    path.write_text(page.render(name=name, gain=card(table)), encoding="utf-8")
    return path


def card(table: GainTable) -> dict[str, Any]:
    """What the template `gain.html.j2` shows of a gain table."""
    charts = [gain_chart(table), *group_charts(table).values()]
    return {
        "table": table,
        "opening": opening(table),
        "notes": notes(table),
        "pictures": [chart for chart in charts if chart],
        "costs": [row for row in table.rows if row.cost is not None],
    }
