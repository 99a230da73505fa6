"""Embeddings that start every epoch anew, so that a ranker can train several."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfmm.errors import TfmmError
from tfmm.ranking.rates import is_table
from tfmm.ranking.row_wise import RowWise

State = list[tuple[Any, np.ndarray]]


class ResetEmbeddings(keras.callbacks.Callback):
    """Sets all embedding tables back when an epoch begins; dense weights stay.

    ID embeddings overfit in their second epoch, dense weights do not. With this
    callback every epoch trains the tables from the same state on, as if it were their
    only one, while dense weights go on: the published alternative to decoupling the
    multimodal part by a pre-trained `MAKE`. The optimizer's rows of the tables (Adam's
    moments, Adagrad's accumulators) go back with them; its other state and its number
    of steps go on. The kept copies need as much memory as the tables and their rows.

    Args:
        model: A compiled model. Its tables are copied now, so make the callback before
            `fit`; a resumed fit, whose model was made anew with the same seed, then
            goes back to the same state.
        checkpoint: Where to go back to in place of the model's present state: a model
            of the same tables, or the path of a saved one. With it the first epoch
            begins there, too. Optimizer rows are its own where it was compiled with the
            same optimizer, else the model's present ones.

    Raises:
        TfmmError: The model is not compiled with a row-wise optimizer or has no tables,
            or the checkpoint's tables are others.

    Reference:
        "Reset embeddings at each epoch, keep dense weights": arXiv 2602.10811.

    Example:
        >>> from tfmm.layers import Embedding
        >>> from tfmm.ranking import LazyAdam
        >>> model = keras.Sequential([keras.Input((), dtype="int32"), Embedding(4, 2)])
        >>> model.compile(LazyAdam(0.1), "mse")
        >>> before = np.asarray(model.layers[0].weights[0]).copy()
        >>> reset = ResetEmbeddings(model)
        >>> _ = model.layers[0].weights[0].assign(before + 1)
        >>> reset.on_epoch_begin(1)
        >>> np.array_equal(model.layers[0].weights[0], before)
        True
    """

    def __init__(
        self, model: keras.Model, checkpoint: keras.Model | str | Path | None = None
    ) -> None:
        super().__init__()
        optimizer = _row_wise(model)
        tables = _tables(model)
        if not tables:
            raise TfmmError(
                "There are no embedding tables to reset. Received: a model whose "
                f"trainable weights are {len(model.trainable_variables)} dense ones. "
                "Leave the callback out: dense weights may train many epochs."
            )
        self._from_start = checkpoint is not None
        self._state: State = []
        for table, value, rows in _sources(tables, optimizer, checkpoint):
            self._state.append((table, value))
            self._state += zip(_rows(optimizer, table), rows, strict=True)

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch or self._from_start:
            for variable, value in self._state:
                variable.assign(value)


def _tables(model: keras.Model) -> list[Any]:
    return [v for v in model.trainable_variables if is_table(v)]


def _row_wise(model: keras.Model) -> RowWise:
    """The model's optimizer, with its slots."""
    optimizer = getattr(model, "optimizer", None)
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if not isinstance(optimizer, RowWise):
        raise TfmmError(
            "Resetting embeddings needs a compiled model whose optimizer knows its "
            f"rows. Received: {type(optimizer).__name__}. Compile it with "
            "tfmm.ranking.ranking_optimizer()."
        )
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    return optimizer


def _rows(optimizer: Any, table: Any) -> list[Any]:
    return optimizer.row_slots(optimizer._get_variable_index(table))


def _sources(
    tables: Sequence[Any],
    optimizer: RowWise,
    checkpoint: keras.Model | str | Path | None,
) -> list[tuple[Any, np.ndarray, list[np.ndarray]]]:
    """Every table with its value and optimizer rows to go back to."""
    own = [_values(_rows(optimizer, table)) for table in tables]
    if checkpoint is None:
        return list(zip(tables, _values(tables), own, strict=True))
    if not isinstance(checkpoint, keras.Model):
        checkpoint = keras.models.load_model(checkpoint)
    theirs = _tables(checkpoint)
    if [v.shape for v in theirs] != [v.shape for v in tables]:
        raise TfmmError(
            "The checkpoint has other embedding tables than the model. Received: "
            f"{_shapes(theirs)} for {_shapes(tables)}. Give a checkpoint of the same "
            "vocabularies and dimension."
        )
    source = getattr(checkpoint, "optimizer", None)
    source = getattr(source, "inner_optimizer", source)
    if type(source) is type(optimizer) and getattr(source, "built", False):
        own = [_values(_rows(source, table)) for table in theirs]
    return list(zip(tables, _values(theirs), own, strict=True))


def _values(variables: Sequence[Any]) -> list[np.ndarray]:
    # Without the copy it may be the table's own memory, which training writes to.
    return [np.asarray(variable).copy() for variable in variables]


def _shapes(variables: Sequence[Any]) -> list[tuple[int, ...]]:
    return [tuple(variable.shape) for variable in variables]
