"""Copies a trained model's weights and optimizer state into a new model."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.ranking.restarted import Restarted
from tfmm.records.row_maps import RowCounts, RowMap

Schedule = keras.optimizers.schedules.LearningRateSchedule


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


def carry(
    new: keras.Model,
    old: keras.Model,
    tables: Mapping[int, RowMap],
    fixed: set[int],
    optimizer: bool,
) -> int | None:
    """Copies weights, and the optimizer's state with them, between alike models.

    Args:
        new: The model that is changed.
        old: The trained model.
        tables: By the `id` of a table of the new model, where its rows come from; all
            else must be of one shape in both.
        fixed: `id`s of the new model's weights that stay as they are.
        optimizer: Whether to carry the optimizer's state.

    Returns:
        The old optimizer's steps; None without it.

    Raises:
        TfmmError: The optimizers do not fit.
    """
    pairs = [
        (mine, theirs)
        for mine, theirs in zip(new.weights, old.weights, strict=True)
        if id(mine) not in fixed
    ]
    steps = _carry_optimizer(new, old, pairs, tables) if optimizer else None
    for mine, theirs in pairs:
        _copy(mine, theirs, tables.get(id(mine)))
    return steps


def _copy(new: Any, old: Any, rows: RowMap | None) -> None:
    values = ops.convert_to_numpy(old)
    if rows is not None:
        values = rows.carried(ops.convert_to_numpy(new), values)
    new.assign(values)


def _carry_optimizer(
    new: keras.Model,
    old: keras.Model,
    pairs: list[tuple[Any, Any]],
    tables: Mapping[int, RowMap],
) -> int:
    _check_optimizers(*(getattr(model, "optimizer", None) for model in (new, old)))
    for model in (new, old):
        if not model.optimizer.built:  # Building again would forget a loss's scale.
            model.optimizer.build(model.trainable_variables)
    if new.optimizer is not _inner(new.optimizer):
        for name in ("step_counter", "dynamic_scale"):
            _copy(getattr(new.optimizer, name), getattr(old.optimizer, name), None)
        _copy(new.optimizer.iterations, old.optimizer.iterations, None)
    mine, theirs = _inner(new.optimizer), _inner(old.optimizer)
    _copy(mine.iterations, theirs.iterations, None)
    places = [_places(model) for model in (new, old)]
    for weight, other in pairs:
        place, from_place = places[0].get(id(weight)), places[1].get(id(other))
        if place is None or from_place is None:  # frozen in one of the two
            continue
        for name, slots in _slots(mine):
            if slots[place] is not None:
                source = getattr(theirs, name)[from_place]
                _copy(slots[place], source, tables.get(id(weight)))
    steps = int(ops.convert_to_numpy(theirs.iterations))
    if isinstance(mine._learning_rate, Schedule):
        mine.learning_rate = Restarted(mine._learning_rate, steps)
        new.train_function = None  # It may have been traced with the old schedule.
    return steps


def _inner(optimizer: Any) -> Any:
    """The optimizer that a loss scale wraps, or the optimizer itself."""
    return getattr(optimizer, "inner_optimizer", optimizer)


def _places(model: keras.Model) -> dict[int, int]:
    return {id(v): i for i, v in enumerate(model.trainable_variables)}


def _slots(optimizer: Any) -> Iterator[tuple[str, list[Any]]]:
    """Name and slots of each kind of state, one slot a trainable variable or None."""
    variables = optimizer._trainable_variables
    for name, found in vars(optimizer).items():
        if (
            isinstance(found, list)
            and found is not variables
            and len(found) == len(variables)
            and all(_is_slot(s, v) for s, v in zip(found, variables, strict=True))
            and any(slot is not None for slot in found)
        ):
            yield name, found


def _is_slot(slot: Any, variable: Any) -> bool:
    if slot is None:
        return True
    own = isinstance(slot, keras.Variable) and slot is not variable
    return own and slot.shape == variable.shape


def _check_optimizers(new: Any, old: Any) -> None:
    names = [_kind(optimizer) for optimizer in (new, old)]
    if None in names:
        raise TfmmError(
            "The optimizer's state is carried too, so both models must be compiled. "
            f"Received: {_said(names[0])} for the new model, {_said(names[1])} for the "
            "old one. Compile the new one, load the old one with compile=True, or say "
            "optimizer=False to start with a fresh optimizer."
        )
    if names[0] != names[1]:
        raise TfmmError(
            "One optimizer's state means nothing to another. Received: "
            f"{names[0]} for the new model, {names[1]} for the old one. Compile with "
            "the same one, or say optimizer=False to start with a fresh one."
        )


def _kind(optimizer: Any) -> str | None:
    if optimizer is None:
        return None
    inner = _inner(optimizer)
    wrapped = "" if inner is optimizer else f"{type(optimizer).__name__} of "
    return wrapped + type(inner).__name__


def _said(name: str | None) -> str:
    return name or "no optimizer"
