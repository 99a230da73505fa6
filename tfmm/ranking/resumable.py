"""The `fit` of request models: one that can go on after an interruption."""

import inspect
from pathlib import Path
from typing import Any

import keras

from tfmm.layers.frozen_vectors import FrozenVectors


class Resumable(keras.Model):
    """A Keras model whose `fit` keeps checkpoints, also within an epoch."""

    def fit(
        self,
        x: Any = None,
        *args: Any,
        checkpoints: str | Path | None = None,
        checkpoint_every: int | None = None,
        **kwargs: Any,
    ) -> keras.callbacks.History:
        """As `keras.Model.fit`, and by option from where it was interrupted.

        A checkpoint holds weights, optimizer, metrics, history and the place in the
        data; frozen vectors are only compared. It is written every `checkpoint_every`
        steps, after each epoch, and on Ctrl-C or SIGTERM once the step under way is
        over; the last two are kept. With the batches of `tfmm.data.requests`, a fit
        that was interrupted and called again, in another process with a new model,
        ends with the weights of one that was not.

        Args:
            x: Request batches, from `tfmm.data.requests`.
            *args: As of `keras.Model.fit`.
            checkpoints: A folder for checkpoints; a fit goes on from the newest there.
                `None` for none.
            checkpoint_every: Steps between checkpoints; `None` for one an epoch.
            **kwargs: As of `keras.Model.fit`.

        Raises:
            TfmmError: If the checkpoints are of another model, optimizer, catalog or
                data, or of another batch size or seed.
        """
        if hasattr(x, "element_spec"):  # Keras would warn that it cannot shuffle it.
            kwargs.setdefault("shuffle", False)
        if checkpoints is None:
            return super().fit(x, *args, **kwargs)
        from tfmm.fitting.checkpoints import fit_with_checkpoints

        fit = super().fit
        named = inspect.signature(fit).bind(x, *args, **kwargs).arguments
        x = named.pop("x")
        return fit_with_checkpoints(
            self, fit, x, checkpoints, checkpoint_every, **named
        )

    @property
    def constants(self) -> list[Any]:
        """Variables that training never changes and checkpoints leave out."""
        layers = self._flatten_layers()
        frozen = (layer for layer in layers if isinstance(layer, FrozenVectors))
        return [variable for layer in frozen for variable in layer.variables]
