"""A fit that goes on, after an interruption, at the very step where it stopped."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.fitting.checkpoint_facts import made_for
from tfmm.fitting.checkpoint_keeper import Keeper
from tfmm.fitting.interrupts import Interrupts


def fit_with_checkpoints(
    model: keras.Model,
    fit: Callable[..., Any],
    x: tf.data.Dataset,
    folder: str | Path,
    every: int | None = None,
    *,
    epochs: int = 1,
    callbacks: Any = None,
    verbose: Any = "auto",
    **kwargs: Any,
) -> keras.callbacks.History:
    """As `fit(x, ...)`, with checkpoints, and from the newest one on if there is any.

    A checkpoint holds all that decides the numbers to come: weights, banks, momentum
    copies, temperatures, the states of dropout, the optimizer, the metrics' sums, the
    place in the data and the history so far. It is written every `every` steps, after
    each epoch, and on Ctrl-C or SIGTERM once the step under way is over (press again
    to stop at once); the last two are kept. A fit that was interrupted and resumed
    ends with the numbers of one that was not, provided that the data set's `at(epoch,
    step)` gives the batches from there, as those of `tfmm.data.pairs` and
    `tfmm.data.requests` do; of others the batches taken before are skipped.

    Args:
        model: A compiled model whose variables exist.
        fit: The method that trains it, with the arguments of `keras.Model.fit`.
        x: Batches; a data set of known length.
        folder: Where the checkpoints stand.
        every: Steps between checkpoints within an epoch; `None` for none.
        epochs: As of `keras.Model.fit`.
        callbacks: As of `keras.Model.fit`. What `EarlyStopping` and
            `ReduceLROnPlateau` remember is kept too.
        verbose: As of `keras.Model.fit`.
        **kwargs: Further arguments of `fit`.

    Returns:
        The history of all epochs, those before an interruption included. A fit that
        was finished already returns at once.

    Raises:
        TfmmError: If the checkpoints are of another model, optimizer or data set, or
            the data set has no known length.

    Example:
        >>> import tempfile
        >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
        >>> model.compile("sgd", "mse")
        >>> data = tf.data.Dataset.from_tensors(([[1.0]], [[2.0]]))
        >>> folder = tempfile.mkdtemp()
        >>> run = lambda epochs: fit_with_checkpoints(
        ...     model, model.fit, data, folder, epochs=epochs, verbose=0).epoch
        >>> run(1), run(1), run(3)
        ([0], [0], [0, 1, 2])
    """
    steps = _steps(x, every, kwargs)
    callbacks = callbacks if isinstance(callbacks, list | tuple | None) else [callbacks]
    if not model.optimizer.built:
        model.optimizer.build(model.trainable_variables)
    with Interrupts().held() as interrupts:
        keeper = Keeper(
            callbacks,
            add_history=True,
            add_progbar=verbose != 0,
            model=model,
            verbose=verbose,
            epochs=epochs,
            steps=steps,
        )
        keeper.prepare(
            Path(folder),
            every,
            made_for(model, x, steps, callbacks or ()),
            interrupts,
            sample=_from(x, 0, 0, steps).take(1),
        )
        with keeper.kept_on_interrupt():
            for epoch, step, end in keeper.legs(epochs):
                fit(
                    _from(x, epoch, step, steps),
                    epochs=end,
                    initial_epoch=epoch,
                    callbacks=keeper,
                    verbose=verbose,
                    **kwargs,
                )
            keeper.finish()
    return keeper.recorded


def _from(x: tf.data.Dataset, epoch: int, step: int, steps: int) -> tf.data.Dataset:
    """The data set, to be iterated next from a step of an epoch on."""
    rest = x.at(epoch, step) if hasattr(x, "at") else x.skip(step) if step else x
    # Keras warns of data that end where it did not expect it.
    return rest.apply(tf.data.experimental.assert_cardinality(steps - step))


def _steps(x: Any, every: int | None, kwargs: Mapping[str, Any]) -> int:
    """Steps per epoch."""
    steps = int(x.cardinality()) if isinstance(x, tf.data.Dataset) else -1
    taken = {"steps_per_epoch", "initial_epoch"} & set(kwargs)
    if steps < 1 or taken or (every is not None and every < 1):
        raise TfmmError(
            "Checkpoints need a tf.data.Dataset of known length, whose epochs they "
            f"count themselves, and a positive `checkpoint_every`. Received: "
            f"{type(x).__name__} of {steps} batches, checkpoint_every={every}"
            f"{''.join(f', {name}={kwargs[name]}' for name in sorted(taken))}. "
            "tfmm.data.pairs and tfmm.data.requests give such data sets; or fit "
            "without `checkpoints`."
        )
    return steps
