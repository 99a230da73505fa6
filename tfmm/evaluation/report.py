"""One self-contained HTML page about a run."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path
from typing import Any

from tfmm.catalog import Catalog
from tfmm.errors import TfmmError
from tfmm.evaluation.gain_page import card
from tfmm.evaluation.gain_rows import GainTable
from tfmm.evaluation.report_items import (
    check_requests,
    example_rows,
    examples,
    find_neighbours,
    neighbourhoods,
    read_cards,
)
from tfmm.evaluation.report_retrieval import retrieval
from tfmm.evaluation.report_serving import read_optional, served_answer, timings
from tfmm.evaluation.report_stages import (
    count_faults,
    fit_curves,
    single_epochs,
    stage_counts,
)
from tfmm.evaluation.templates import environment
from tfmm.records.manifest import NAME

HISTORY_SHOWN = 16
EXAMPLES_SHOWN = 2
_PACKAGES = ("tfmm", "tensorflow", "keras", "apache-beam", "numpy", "pyarrow")


def write_report(out_folder: str | Path, recipe_name: str) -> Path:
    """Writes `report.html` from what a run has left in its output folder.

    The page holds counts and drops per stage, training curves, the gain table, ranked
    example requests, what the towers find on the test pairs, nearest neighbours and the
    served answer, with styles, charts and
    pictures inside the file. What a run has not made is said to be absent. Users are
    shown by the hash they have in the records.

    Args:
        out_folder: the run's output folder.
        recipe_name: the page's title.

    Returns:
        The page's path.

    Raises:
        TfmmError: no such folder, or a damaged file in it.
    """
    out = Path(out_folder)
    if not out.is_dir():
        raise TfmmError(
            f"There is no run to report on. Received: `{out}`. Run the recipe first."
        )
    stages, curves = stage_counts(out), fit_curves(out)
    page = (
        environment()
        .get_template("report.html.j2")
        .render(
            recipe=recipe_name,
            stages=stages,
            faults=count_faults(stages),
            curves=curves,
            single=single_epochs(curves),
            gain=_gain(out),
            retrieval=retrieval(out),
            timings=timings(out),
            served=served_answer(out),
            versions=_versions(),
            **_items(out),
        )
    )
    path = out / "report.html"
    aside = path.with_name("report.html.tmp")
    aside.write_text(page, encoding="utf-8")
    aside.replace(path)
    return path


def _items(out: Path) -> dict[str, Any]:
    path = out / "evaluation" / "example_requests.json"
    loaded = read_optional(path)
    requests = check_requests(loaded or [], path)[:EXAMPLES_SHOWN]
    has_catalog = (out / "catalog" / NAME).is_file()
    catalog = Catalog.open(out / "catalog") if has_catalog else None
    shown = [item["row"] for request in requests for item in request["items"][:2]]
    neighbours = find_neighbours(catalog, prefer=shown)
    rows = example_rows(requests, HISTORY_SHOWN)
    for items in neighbours.values():
        rows.update(items)
        rows.update(row for near in items.values() for row, _ in near)
    cards = read_cards(out / "items", rows)
    return {
        "examples": examples(requests, cards, HISTORY_SHOWN),
        "neighbours": neighbourhoods(neighbours, cards),
        "catalog": catalog,
    }


def _gain(out: Path) -> dict[str, Any] | None:
    path = out / "evaluation" / "gain.json"
    return card(GainTable.open(path)) if path.is_file() else None


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found
