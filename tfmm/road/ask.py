"""Asks a running server for one user's ranking."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.markup import escape
from rich.table import Table

from tfmm.errors import TfmmError
from tfmm.road.recipe import Recipe
from tfmm.serving import Client

_OF_REQUEST = ("user_", "context_")
_OF_CANDIDATE = ("candidate_", "base_score")
_NO_FEATURES = {"user_key"}


def ask(
    url: str,
    model: str,
    items: Sequence[str],
    history: Sequence[str] = (),
    user_key: int = 0,
    values: Sequence[str] = (),
    history_type: Sequence[str] = (),
) -> Table:
    """The ranking of candidates by raw id, as a table.

    Args:
        url: The server.
        model: The model's name.
        items: Raw ids of the candidates.
        history: Raw ids of the user's events, oldest first.
        user_key: The user's keyed hash; 0 for an unknown user.
        values: `NAME=VALUE` for features; what is not given is missing. One value of
            `user_<f>` and `context_<f>`; of `candidate_<f>` (and `base_score`) one
            per item with commas between.
        history_type: The type of each event, or one for all.

    Raises:
        TfmmError: If the server does not answer, or an id or value is none that the
            model takes.
    """
    client = Client(url)
    features = _features(client.signature(model, "rank").inputs)
    given = _read_values(values, features)
    one = {name: text for name, text in given.items() if features[name]}
    ranked = client.rank(
        items,
        user_key=user_key,
        history=history,
        history_type=_type_of_each(history_type, len(history)),
        context=one,
        candidates={n: text.split(",") for n, text in given.items() if n not in one},
        model=model,
    )
    heads = list(ranked[0].others) if ranked else []
    rows = [(str(r.item_id), r.score, r.known, *r.others.values()) for r in ranked]
    return _table(rows, heads)


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
    columns: list[Any] = [answer.pop(name)[0] for name in ("item_id", "score", "known")]
    heads = {k: scores[0] for k, scores in answer.items() if k.startswith("score_")}
    columns += heads.values()
    order = np.argsort(-columns[1], kind="stable")
    rows = [tuple(column[place] for column in columns) for place in order]
    return _table(rows, [name.removeprefix("score_") for name in heads])


def _features(inputs: Iterable[str]) -> dict[str, bool]:
    """The inputs that are features: whether a request has one value of each."""
    return {
        name: name.startswith(_OF_REQUEST)
        for name in sorted(set(inputs) - _NO_FEATURES)
        if name.startswith(_OF_REQUEST + _OF_CANDIDATE)
    }


def _read_values(pairs: Sequence[str], features: Mapping[str, bool]) -> dict[str, str]:
    given: dict[str, str] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or name not in features or name in given:
            raise TfmmError(
                "--value takes NAME=VALUE, once per feature of the model. "
                f"Received: {pair!r}. Expected a name of: {list(features)}. "
                "Ids, types and the user's key have options of their own."
            )
        given[name] = text
    return given


def _type_of_each(types: Sequence[str], events: int) -> Sequence[str] | None:
    if not types:
        return None
    return list(types) * events if len(types) == 1 else types


def _table(rows: Sequence[tuple[Any, ...]], heads: Sequence[str]) -> Table:
    table = Table("rank", "item", "score", "has vectors", *map(escape, heads))
    for place, (item, score, known, *others) in enumerate(rows, 1):
        table.add_row(
            str(place),
            escape(str(item)),
            f"{score:.6f}",
            "yes" if known else "no",
            *(f"{other:.6f}" for other in others),
        )
    return table
