"""Stages from the public files of Taobao-MM to records and the catalog."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.progress import Progress

from tfmm.datasets.taobao_mm import TaobaoMM
from tfmm.datasets.taobao_mm_files import Progress as Report
from tfmm.records.manifest import read_manifest
from tfmm.road.road import Road
from tfmm.road.source_folder import source_folder


def public_log(road: Road) -> TaobaoMM:
    """The data set as the recipe wants it."""
    given = road.recipe.input.taobao_mm
    assert given
    settings = given.model_dump(exclude={"source"})
    return TaobaoMM(source_folder(given.source), **settings)


def scan(road: Road) -> None:
    """Reads the files once: which ids and values occur."""
    with _progress(road) as report:
        public_log(road).scan(road.path("input"), report)
    manifest = read_manifest(road.path("input"))
    items = manifest["items"]
    road.console.print(
        f"      {manifest['layout']} tables: {manifest['counts']['written']:,} rows of "
        f"{manifest['counts']['read']:,}, {items['written']:,} items"
    )


def item_index(road: Road) -> None:
    """Rows for the items that occur."""
    public_log(road).item_index(road.path("input"), road.path("index"))


def vocabularies(road: Road) -> None:
    """Vocabularies of training."""
    facts, index = road.path("input"), road.path("index")
    public_log(road).vocabularies(facts, index, road.path("vocabularies"))


def timelines(road: Road) -> dict[str, Any]:
    """Timeline records; returns their manifest."""
    index, values = road.path("index"), road.path("vocabularies")
    with _progress(road) as report:
        return public_log(road).timelines(index, values, road.path("timelines"), report)


def catalog(road: Road) -> None:
    """The catalog of the published vectors."""
    with _progress(road) as report:
        public_log(road).catalog(road.path("index"), road.path("catalog"), report)


@contextmanager
def _progress(road: Road) -> Iterator[Report]:
    with Progress(console=road.console, transient=True) as progress:
        task = progress.add_task("Reading")

        def show(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)

        yield show
