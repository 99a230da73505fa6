"""Neighbour sheets of the test pairs: what each task finds, as a picture."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from tfmm.data.item_media import record_files
from tfmm.pretrain.embedded import Embedded
from tfmm.pretrain.pair_batch import task_rows
from tfmm.pretrain.sheet_rows import nearest_items, sheet_rows
from tfmm.pretrain.sheets import Cell, save_sheet
from tfmm.records.example import decode
from tfmm.records.sources import SEARCH, SOURCES
from tfmm.records.tfrecord import read_records

_LINES = 8


def save_sheets(
    folder: Path,
    tasks: Iterable[Any],
    found: Mapping[str, Embedded],
    batches: Iterable[Any],
    pairs: Path,
    items: Path,
    sources: Iterable[str],
    show_searches: bool,
) -> list[Path]:
    """Writes `neighbours_<task>.png` for each task that has test pairs.

    What somebody searched for is private, words and pictures alike: tasks that start
    from searches are left out.

    Args:
        folder: Where to.
        tasks: The tasks.
        found: From `embed_pairs`, on `batches`.
        batches: Test pair batches, not shuffled.
        pairs: The pair records that they are of.
        items: The item records.
        sources: The sources that were read.
        show_searches: Whether searches may be shown nevertheless.
    """
    written = []
    codes = {SOURCES.index(name) for name in sources}
    for task in tasks:
        if task.source == SOURCES[SEARCH] and not show_searches:
            continue
        embedded = found[task.name]
        places = list(islice(_places(task, batches), _LINES))
        if not places:
            continue
        answers = _answers(embedded)[: len(places)]
        vectors = embedded.queries[: len(places)], embedded.candidates
        groups = embedded.candidate_groups
        shown = np.concatenate([answers[:, 0], *nearest_items(*vectors, groups=groups)])
        records = list(_records(pairs, codes, places))
        wanted = set(embedded.candidate_items[shown].tolist())
        wanted |= {_number(record, "query_item") for record in records}
        media = _media(items, wanted)
        lines = sheet_rows(
            *vectors,
            [_query(task, record, media) for record in records],
            [media.get(row, Cell()) for row in embedded.candidate_items.tolist()],
            answers,
            groups=groups,
        )
        path = folder / f"neighbours_{task.name}.png"
        written.append(save_sheet(path, lines, title=str(task)))
    return written


def _answers(embedded: Embedded) -> np.ndarray:
    """int `[Q, A]`: places of what answers each query, the bought item first."""
    groups, places = np.unique(embedded.candidate_groups, return_index=True)
    found = places[np.searchsorted(groups, np.maximum(embedded.answers, groups[0]))]
    found = np.where(embedded.answers >= 0, found, -1)
    found[:, 0] = np.searchsorted(embedded.candidate_items, embedded.items)
    return found


def _places(task: Any, batches: Iterable[Any]) -> Iterator[int]:
    """Which pairs, counted from the first, have the task's modalities."""
    begin = 0
    for batch in batches:
        there = np.asarray(task_rows(task, batch))
        yield from (begin + np.flatnonzero(there)).tolist()
        begin += len(there)


def _records(folder: Path, codes: set[int], places: list[int]) -> Iterator[Any]:
    read = (
        decode(record)
        for file in record_files(folder, "pairs")
        for record in read_records(file)
    )
    chosen = (r for r in read if _number(r, "source", SEARCH) in codes)
    for place, record in enumerate(islice(chosen, places[-1] + 1)):
        if place in places:
            yield record


def _media(folder: Path, rows: set[int]) -> dict[int, Cell]:
    found = {}
    for file in record_files(folder, "items"):
        for record in read_records(file):
            item = decode(record)
            if (row := _number(item, "row")) in rows:
                found[row] = Cell(_text(item, "title"), _picture(item, "image"))
    return found


def _query(task: Any, record: Any, media: Mapping[int, Cell]) -> Cell:
    """The query as the task sees it: a picture, words, or both."""
    if task.source == SOURCES[SEARCH]:
        cell = Cell(_text(record, "query_text"), _picture(record, "query_image"))
    else:
        cell = media.get(_number(record, "query_item"), Cell())
    if task.query == "text":
        return Cell(cell.title)
    return Cell("", cell.picture) if task.query == "image" else cell


def _number(record: Any, name: str, default: int = 0) -> int:
    return int(next(iter(record.get(name, [])), default))


def _text(record: Any, name: str) -> str:
    return next(iter(record.get(name, [])), b"").decode("utf-8", "replace")


def _picture(record: Any, name: str) -> bytes | None:
    return next(iter(record.get(name, [])), b"") or None
