"""Day two: a new ranker starts from yesterday's, id by id."""

from collections.abc import Iterator
from typing import Any

import keras

from tfmm.ranking.carry import WarmStart, carry
from tfmm.ranking.interests import MakeInterest
from tfmm.ranking.warm_start_checks import check_alike, check_vocabularies
from tfmm.records.index import ItemIndex
from tfmm.records.row_maps import row_maps
from tfmm.records.vocabularies import Vocabularies


class RankerWarmStart:
    """What lets a ranker start from another one: a mixin of `RankingModel`."""

    def warm_start(
        self,
        old: Any,
        old_vocabularies: Vocabularies,
        new_vocabularies: Vocabularies,
        index: ItemIndex | None = None,
        optimizer: bool = True,
    ) -> WarmStart:
        """Takes over what yesterday's ranker learnt; vocabularies may have grown.

        Rows of users, items, event types and feature values are carried by what they
        stand for, with the optimizer's rows, and every other weight as it is. Ids that
        are new keep their initial row and fresh moments; so do items that were too
        rare for a row before. The frozen parts are the new model's: item tables,
        vectors, and a MAKE with `freeze=True` (warm-start that one by itself). Numeric
        features are standardised as the new vocabularies say.

        The optimizer goes on counting steps, but a schedule of its rate begins anew,
        so that it spans the new day's training alone. Where nothing grew and the rate
        is constant, training on equals going on with the old ranker.

        Args:
            old: The trained `RankingModel`, built with the same settings.
            old_vocabularies: Those it was built from.
            new_vocabularies: Those this model was built from.
            index: The new item index, to check that old rows name the same ids in it.
            optimizer: Whether to carry the optimizer's state. Defaults to True.

        Returns:
            `WarmStart`: ids carried, new and dropped by table, and steps.

        Raises:
            TfmmError: Other settings, features or vectors (a new feature has columns of
                its own in every layer that follows: train from scratch), vocabularies
                that are not the rankers' own, an item index that did not grow from the
                old one, or optimizers that do not fit or are missing.
        """
        check_alike(self, old)
        check_vocabularies(self, new_vocabularies, "new")
        check_vocabularies(old, old_vocabularies, "old")
        maps = row_maps(old_vocabularies, new_vocabularies, index)
        tables = {id(table): maps[name] for name, table in _tables(self)}
        steps = carry(self, old, tables, _fixed(self), optimizer)
        return WarmStart({name: rows.counts for name, rows in maps.items()}, steps)


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


def _fixed(ranker: Any) -> set[int]:
    """Weights that came with the new model's catalog, vocabularies or frozen MAKE."""
    fixed = [w for layer in ranker.vectors.values() for w in layer.weights]
    fixed += [ranker.items.codes, ranker.items.numbers]
    for interest in _interests(ranker.interests):
        if isinstance(interest, MakeInterest) and interest.freeze:
            fixed += interest.weights
    return {id(weight) for weight in fixed}


def _interests(interests: Any) -> Iterator[Any]:
    for interest in interests:
        yield interest
        yield from _interests(getattr(interest, "interests", ()))
