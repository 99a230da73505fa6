"""Writes the report of the paper's tables: Markdown, JSON and a page with pictures."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from markupsafe import Markup, escape

from benchmarks.paper_data import Shop
from benchmarks.paper_figure_6 import figure_6a, figure_6b, figure_6c
from benchmarks.paper_figures import Found
from benchmarks.paper_sections import Section, figure_3, table_3
from benchmarks.paper_trial import Size
from benchmarks.scl_cells import Cell

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c1d21; max-width: 60rem;
  margin: 2rem auto; padding: 0 1rem }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px }
th, td { padding: .25rem .6rem; border-bottom: 1px solid #e4e2dc; text-align: left }
.charts { display: flex; flex-wrap: wrap; gap: 1rem } svg { width: 420px }
svg text { font-size: 11px; fill: #62656e } svg .grid { stroke: #e4e2dc; fill: none }
"""


def write_report(folder: Path, cells: Sequence[Cell], shop: Shop, size: Size) -> Path:
    """Writes `report.md`, `report.json` and `report.html`.

    Args:
        folder: Where to.
        cells: What has been measured; sections show what there is.
        shop: What they are of.
        size: How they were trained.

    Returns:
        The folder.
    """
    found, best = Found(cells), shop.best()
    sections = [
        table_3(found, best),
        figure_3(found),
        figure_6a(found, shop.name),
        figure_6b(found),
        figure_6c(found, size.snapshots),
    ]
    lead = _lead(shop, size, cells)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.md").write_text(_markdown(lead, sections), encoding="utf-8")
    (folder / "report.html").write_text(_page(lead, sections), encoding="utf-8")
    facts = {
        "data": shop.stamp,
        "settings": asdict(size),
        "best": best,
        "sections": [
            {"title": s.title, "header": s.header, "rows": s.rows, "notes": s.notes}
            for s in sections
        ],
        "cells": list(cells),
    }
    text = json.dumps(facts, indent=1, ensure_ascii=False)
    (folder / "report.json").write_text(text + "\n", encoding="utf-8")
    return folder


def _lead(shop: Shop, size: Size, cells: Sequence[Cell]) -> list[str]:
    what = (
        f"a simulated marketplace of {shop.items:,} items and {shop.users:,} shoppers"
        if shop.name == "marketplace"
        else "MovieLens with posters"
    )
    chosen = (
        "The standard size's were chosen on validation days."
        if shop.name == "marketplace"
        else "The standard size's are near its recipe's: it has no validation days."
    )
    minutes = sum(cell["seconds"] for cell in cells) / 60
    return [
        f"Data: {what}, pictures only, as in the paper. Seeds of model and order of "
        f"the data: {', '.join(map(str, size.seeds))}; ± is the standard deviation "
        f"over them. {len(cells)} cells, {minutes:.0f} minutes of training.",
        "Gains are relative to ID-only of the same seed, on the test days: "
        "(model - ID-only) / ID-only, LogLoss with the sign turned. The paper reports "
        "neither seeds nor spreads.",
        f"Every ranker: one epoch, {size.batch} requests a step, peak rate {size.rate}"
        f"; MAKE: {size.epochs} epochs, {size.make_batch} requests a step, peak rate "
        f"{size.make_rate}, weight decay {size.make_decay}. {chosen}",
    ]


def _markdown(lead: Sequence[str], sections: Sequence[Section]) -> str:
    lines = ["# The paper's tables, in our setting", "", *_spaced(lead)]
    for section in sections:
        lines += [f"## {section.title}", "", _row(section.header)]
        lines.append("|" + "---|" * len(section.header))
        lines += [_row(row) for row in section.rows]
        lines += ["", *(f"* {note}" for note in section.notes), ""]
    return "\n".join(lines)


def _row(texts: Sequence[str]) -> str:
    return "| " + " | ".join(texts) + " |"


def _spaced(lines: Sequence[str]) -> list[str]:
    return [part for line in lines for part in (line, "")]


def _page(lead: Sequence[str], sections: Sequence[Section]) -> str:
    body = "".join(f"<p>{escape(line)}</p>" for line in lead)
    for section in sections:
        rows = "".join(_cells("td", row) for row in section.rows)
        notes = "".join(f"<li>{escape(note)}</li>" for note in section.notes)
        charts = "".join(section.charts)
        body += (
            f"<h2>{escape(section.title)}</h2><table>{_cells('th', section.header)}"
            f'{rows}</table><ul>{notes}</ul><div class="charts">{charts}</div>'
        )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>The paper\'s '
        f"tables</title><style>{_STYLE}</style><h1>The paper's tables, in our setting"
        f"</h1>{body}</html>\n"
    )


def _cells(tag: str, texts: Sequence[str]) -> Markup:
    inner = Markup("").join(Markup(f"<{tag}>{escape(t)}</{tag}>") for t in texts)
    return Markup(f"<tr>{inner}</tr>")
