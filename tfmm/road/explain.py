"""One example request of a run, taken apart on the terminal."""

import json
from collections.abc import Callable, Mapping
from typing import Any

from rich.markup import escape
from rich.table import Table

from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.road.road import Road


def explain_example(road: Road, number: int = 1) -> Table:
    """Why the candidates of an example request score as they do, by raw id.

    Args:
        road: The run; its last evaluation kept the requests.
        number: Which of them, from 1.

    Raises:
        TfmmError: If the run has none, or not so many.
    """
    path = road.path("evaluation", "example_requests.json")
    requests = json.loads(path.read_text()) if path.is_file() else []
    if not 1 <= number <= len(requests):
        raise TfmmError(
            f"There is no such example request. Received: number {number} of "
            f"{len(requests)} in `{path}`. Run the recipe first, or give a number in "
            "this range."
        )
    index = ItemIndex.open(road.path("index"))

    def raw(row: int) -> str:
        return escape(str(index.id_of(row) or "unknown"))

    return _table(requests[number - 1], raw)


def _table(request: Mapping[str, Any], raw: Callable[[int], str]) -> Table:
    items = sorted(request["items"], key=lambda item: -item["score"])
    parts, modalities = list(items[0]["parts"]), list(items[0]["matches"])
    table = Table(
        *("item", request["label"], "score", *(f"without\n{p}" for p in parts)),
        *(f"matched by {name}\n(cosine, tier)" for name in modalities),
        title=f"user {request['user']}, {len(request['history'])} events before",
        caption="Without an interest the logit would be lower by this much.",
    )
    for item in items:
        table.add_row(
            raw(item["row"]),
            "yes" if item["label"] > 0 else "",
            f"{item['score']:.4f}",
            *(f"{item['parts'][name]:+.3f}" for name in parts),
            *(_matches(item["matches"][name], raw) for name in modalities),
        )
    return table


def _matches(matches: list[Mapping[str, Any]], raw: Callable[[int], str]) -> str:
    return "\n".join(
        f"{raw(m['row'])}{times(m['times'])} ({m['cosine']:.2f}, {m['tier']})"
        for m in matches
    )


def times(count: int) -> str:
    """How often something is there, unless it is once.

    Example:
        >>> times(3), times(1)
        (' ×3', '')
    """
    return f" ×{count}" if count > 1 else ""
