"""Day two: a new model starts from yesterday's, id by id."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from tfmm.ranking.carry import carry
from tfmm.ranking.interests import MakeInterest
from tfmm.ranking.warm_start_checks import check_alike, check_vocabularies
from tfmm.records.index import ItemIndex
from tfmm.records.row_maps import RowCounts, row_maps
from tfmm.records.vocabularies import Vocabularies


@dataclass(frozen=True)
class WarmStart:
    """What a model took over.

    Args:
        tables: By table (`"user"`, `"item"`, `"event_type"`, a feature's tensor), how
            many ids were carried, are new and were dropped.
        steps: Steps of the optimizer carried on; None without its state.

    Example:
        >>> print(WarmStart({"user": RowCounts(9, 2, 1)}, 120))
        optimizer at step 120
        user: 9 carried, 2 new, 1 dropped
    """

    tables: Mapping[str, RowCounts]
    steps: int | None

    def __str__(self) -> str:
        state = "fresh optimizer"
        lines = [state if self.steps is None else f"optimizer at step {self.steps:,}"]
        lines += [
            f"{name}: {c.carried:,} carried, {c.new:,} new, {c.dropped:,} dropped"
            for name, c in self.tables.items()
        ]
        return "\n".join(lines)


def warm_start_ranker(
    new: Any,
    old: Any,
    old_vocabularies: Vocabularies,
    new_vocabularies: Vocabularies,
    index: ItemIndex | None = None,
    optimizer: bool = True,
) -> WarmStart:
    """What `RankingModel.warm_start` does; see there."""
    check_alike(new, old)
    check_vocabularies(new, new_vocabularies, "new")
    check_vocabularies(old, old_vocabularies, "old")
    maps = row_maps(old_vocabularies, new_vocabularies, index)
    tables = {id(table): maps[name] for name, table in _tables(new)}
    steps = carry(new, old, tables, _fixed(new), optimizer)
    return WarmStart({name: rows.counts for name, rows in maps.items()}, steps)


def warm_start_make(new: Any, old: Any, optimizer: bool = True) -> WarmStart:
    """What `MAKE.warm_start` does; see there."""
    check_alike(new, old)
    return WarmStart({}, carry(new, old, {}, _fixed(new), optimizer))


def _tables(ranker: Any) -> Iterator[tuple[str, keras.Variable]]:
    """The embedding tables whose rows stand for ids, by what they stand for."""
    yield "user", ranker.users.table
    yield "event_type", ranker.event_types.table
    categorical = [f for f in ranker.spec.of_scope("item") if f.kind == "categorical"]
    names = ["item", *(feature.tensor for feature in categorical)]
    for name, embedding in zip(names, ranker.items.embeddings, strict=True):
        yield name, embedding.table
    for inputs in (ranker.request_features, ranker.candidate_features):
        for name, embedding in inputs.embeddings.items():
            yield name, embedding.table


def _fixed(model: Any) -> set[int]:
    """Weights that came with the new model's catalog, vocabularies or frozen MAKE."""
    fixed = [w for layer in model.vectors.values() for w in layer.weights]
    if items := getattr(model, "items", None):
        fixed += [items.codes, items.numbers]
    for interest in _interests(getattr(model, "interests", ())):
        if isinstance(interest, MakeInterest) and interest.freeze:
            fixed += interest.weights
    return {id(weight) for weight in fixed}


def _interests(interests: Any) -> Iterator[Any]:
    for interest in interests:
        yield interest
        yield from _interests(getattr(interest, "interests", ()))
