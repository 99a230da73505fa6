"""Asks a running server for one user's ranking."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from tfmm.errors import TfmmError
from tfmm.road.recipe import Recipe
from tfmm.serving import Client


def ask(
    url: str,
    model: str,
    items: Sequence[str],
    history: Sequence[str] = (),
    user_key: int = 0,
    values: Sequence[str] = (),
) -> Table:
    """The ranking of candidates by raw id, as a table.

    Args:
        url: The server.
        model: The model's name.
        items: Raw ids of the candidates.
        history: Raw ids of the user's events, oldest first.
        user_key: The user's keyed hash; 0 for an unknown user.
        values: `NAME=VALUE` for further inputs; what is not given is missing.
    """
    client = Client(url)
    kinds = client.signature(model, "rank")
    integers = kinds["item_id"][0] == "DT_INT64"
    context = {}
    for pair in values:
        name, _, text = pair.partition("=")
        if name not in kinds:
            raise TfmmError(
                f"`{model}` takes no input `{name}`. Expected some of: {sorted(kinds)}."
            )
        context[name] = text if kinds[name][0] == "DT_STRING" else float(text)
    ranked = client.rank(
        [int(i) if integers else i for i in items],
        user_key=user_key,
        history=[int(i) if integers else i for i in history],
        context=context,
        model=model,
    )
    return _table([(str(r.item_id), r.score, r.known) for r in ranked])


def ask_example(url: str, model: str, recipe_file: Path) -> Table:
    """Sends the request that the recipe's last run kept as an example."""
    path = Path(Recipe.from_yaml(recipe_file).out) / "serving" / "served.json"
    if not path.is_file():
        raise TfmmError(
            f"There is no example request `{path}`. Run the recipe first: "
            f"tfmm run {recipe_file}."
        )
    request = json.loads(path.read_text())["request"]
    answer = Client(url).predict(model, request, "rank")
    assert isinstance(answer, dict)
    columns: list[Any] = [answer[name][0] for name in ("item_id", "score", "known")]
    order = np.argsort(-columns[1], kind="stable")
    return _table([tuple(column[place] for column in columns) for place in order])


def _table(rows: Sequence[tuple[Any, ...]]) -> Table:
    table = Table("rank", "item", "score", "has vectors")
    for place, (item, score, known) in enumerate(rows, 1):
        table.add_row(str(place), str(item), f"{score:.6f}", "yes" if known else "no")
    return table
