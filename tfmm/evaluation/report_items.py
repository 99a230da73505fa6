"""What the report shows of items: pictures, titles, neighbours, ranked requests."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tfmm.catalog import Catalog
from tfmm.errors import TfmmError
from tfmm.records.example import decode
from tfmm.records.index import FIRST_ROW
from tfmm.records.tfrecord import read_records


@dataclass(frozen=True)
class Card:
    """An item as the page shows it.

    Attributes:
        row: catalog row.
        title: may be empty.
        picture: a `data:` URI, or empty.
    """

    row: int
    title: str = ""
    picture: str = ""


@dataclass(frozen=True)
class Candidate:
    """A shown item with the model's score, and why it is so.

    Attributes:
        parts: interest -> the logit minus the logit without it.
        matches: modality -> history items like it, with cosines, best first.
    """

    card: Card
    score: float
    label: float
    known: bool
    parts: Mapping[str, float] = field(default_factory=dict)
    matches: Mapping[str, Sequence[tuple[Card, float]]] = field(default_factory=dict)


@dataclass(frozen=True)
class ExampleRequest:
    """One user's history, oldest first, and the candidates, best score first."""

    user: str
    history: Sequence[Card]
    more_history: int
    candidates: Sequence[Candidate]


@dataclass(frozen=True)
class Neighbourhood:
    """An item and what lies nearest to it, with cosines."""

    modality: str
    item: Card
    nearest: Sequence[tuple[Card, float]]


Neighbours = Mapping[str, Mapping[int, Sequence[tuple[int, float]]]]


def read_cards(folder: Path, rows: Iterable[int]) -> dict[int, Card]:
    """Titles and pictures of some catalog rows from the item records.

    Rows without a record (items that only the log knows, or the unknown item) get a
    card without title and picture.
    """
    cards = {row: Card(row) for row in set(rows)}
    wanted = {row for row in cards if row >= FIRST_ROW}
    for path in sorted(folder.glob("*.tfrecord")):
        if not wanted:
            break
        for record in read_records(path):
            fields = decode(record)
            row = int(fields["row"][0])
            if row in wanted:
                wanted.discard(row)
                cards[row] = _card(row, fields)
    return cards


def find_neighbours(
    catalog: Catalog | None, items: int = 5, k: int = 7, prefer: Sequence[int] = ()
) -> Neighbours:
    """Nearest neighbours of some items per modality, as catalog rows.

    Args:
        catalog: `None` gives nothing.
        items: how many items per modality.
        k: how many neighbours each.
        prefer: rows to take first; the rest is spread evenly over the catalog.
    """
    found: dict[str, dict[int, list[tuple[int, float]]]] = {}
    for name, table in catalog.modalities.items() if catalog else ():
        assert catalog is not None
        present = np.flatnonzero(table.present)
        spread = present[np.linspace(0, len(present) - 1, items).astype(int)]
        chosen = [row for row in prefer if table.present[row]] if len(present) else []
        chosen += spread.tolist() if len(present) else []
        found[name] = {}
        for row in list(dict.fromkeys(chosen))[:items]:
            near = catalog.neighbours(catalog.index.id_of(row), name, k)
            rows = catalog.index.rows_of([item for item, _ in near]).tolist()
            scores = [cosine for _, cosine in near]
            found[name][row] = list(zip(rows, scores, strict=True))
    return found


def example_rows(requests: Sequence[Mapping[str, Any]], longest: int) -> set[int]:
    """Every catalog row that the example requests show."""
    rows: set[int] = set()
    for request in requests:
        rows.update(_newest(request, longest))
        for item in request["items"]:
            rows.add(item["row"])
            for found in item.get("matches", {}).values():
                rows.update(match["row"] for match in found)
    return rows


def examples(
    requests: Sequence[Mapping[str, Any]], cards: Mapping[int, Card], longest: int
) -> list[ExampleRequest]:
    """Joins example requests with the cards of their items."""
    found = []
    for request in requests:
        shown = _newest(request, longest)
        candidates = [
            Candidate(
                cards[item["row"]],
                float(item["score"]),
                float(item["label"]),
                bool(item["known"]),
                item.get("parts", {}),
                {
                    name: [(cards[m["row"]], float(m["cosine"])) for m in found]
                    for name, found in item.get("matches", {}).items()
                },
            )
            for item in request["items"]
        ]
        candidates.sort(key=lambda candidate: -candidate.score)
        history = [cards[row] for row in shown]
        more = len(request["history"]) - len(shown)
        found.append(ExampleRequest(request["user"][:12], history, more, candidates))
    return found


def neighbourhoods(
    neighbours: Neighbours, cards: Mapping[int, Card]
) -> dict[str, list[Neighbourhood]]:
    """Joins neighbours with the cards of their items, by modality."""
    return {
        name: [
            Neighbourhood(name, cards[row], [(cards[r], c) for r, c in near])
            for row, near in items.items()
        ]
        for name, items in neighbours.items()
    }


def check_requests(requests: Any, path: Path) -> Sequence[Mapping[str, Any]]:
    """Refuses a file that is not a list of example requests."""
    try:
        for request in requests:
            request["user"][:1], list(request["history"])
            for item in request["items"]:
                _ = item["row"], item["label"], item["score"], item["known"]
    except (KeyError, TypeError) as error:
        raise TfmmError(
            f"`{path}` must list requests with user, history and items (row, label, "
            f"score, known). Received: {error!r}. Run the evaluation again."
        ) from error
    return requests


def _newest(request: Mapping[str, Any], longest: int) -> list[int]:
    return list(request["history"])[-longest:]


def _card(row: int, fields: Mapping[str, list[Any]]) -> Card:
    title = b"".join(fields.get("title", [])).decode("utf-8", "replace")
    return Card(row, title, _data_uri(b"".join(fields.get("image", []))))


def _data_uri(image: bytes) -> str:
    if not image.startswith(b"\xff\xd8"):
        return ""
    return "data:image/jpeg;base64," + base64.b64encode(image).decode("ascii")
