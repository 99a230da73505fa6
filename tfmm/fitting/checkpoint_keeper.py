"""The callbacks of a fit, and the keeper of its checkpoints."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfmm.fitting.checkpoint_facts import weights_of
from tfmm.fitting.checkpoint_files import Checkpoint
from tfmm.fitting.interrupts import Interrupts

# What Keras's own callbacks remember from epoch to epoch.
_MEMORIES: tuple[tuple[type, tuple[str, ...]], ...] = (
    (keras.callbacks.EarlyStopping, ("wait", "best", "best_epoch", "stopped_epoch")),
    (keras.callbacks.ReduceLROnPlateau, ("wait", "best", "cooldown_counter")),
    (keras.callbacks.ModelCheckpoint, ("best",)),
)


class Keeper(keras.callbacks.CallbackList):
    """Keras's list of callbacks, which also knows the place and keeps checkpoints.

    It outlives the Keras fits that one resumed fit is made of, so that the callbacks
    see a single one.
    """

    def prepare(
        self,
        folder: Path,
        every: int | None,
        made_for: Mapping[str, Any],
        interrupts: Interrupts,
        sample: tf.data.Dataset,
    ) -> None:
        """Takes over the newest checkpoint, if there is one.

        Args:
            folder: Where the checkpoints stand.
            every: Steps between checkpoints within an epoch.
            made_for: What they are good for.
            interrupts: Signals that wait for the end of a step.
            sample: A batch.
        """
        self._folder, self._every, self._made_for = folder, every, made_for
        self._interrupts = interrupts
        self._epoch = self._step = self._skipped = 0
        self._began = self._stopped = self._over = self._known = False
        self._sums: Sequence[np.ndarray] = ()
        self._async_train = False  # Keras would run some callbacks beside a step.
        self._saved: tuple[int, int] | None = None
        self._found = Checkpoint.newest(folder)
        if self._found is None:
            return
        self._found.check(made_for, folder)
        state, arrays = self._found.state, self._found.arrays
        if len(arrays["metrics"]) > len(self.model.metrics_variables):
            # Keras builds the metrics of `compile` when it sees a batch.
            self.model.evaluate(sample, verbose=0)
        self._put_back(self._found)
        self._sums = arrays["metrics"]
        self._epoch, self._step = state["epoch"], state["step"]
        self._saved = self._epoch, self._step
        self._stopped, self._over = state["stopped"], state["finished"]
        self._remember(self._found)

    @property
    def recorded(self) -> keras.callbacks.History:
        """Keras's own record of all epochs."""
        return self._history

    def legs(self, epochs: int) -> Iterator[tuple[int, int, int]]:
        """(epoch, step in it, end) of each Keras fit to come: two at most."""
        while self._epoch < epochs and not self._stopped:
            if not self._began:
                self._begin()
            end = self._epoch + 1 if self._step else epochs
            yield self._epoch, self._step, end
            self._stopped = bool(self.model.stop_training)

    def finish(self) -> None:
        """Ends the training, unless it was over before."""
        if self._over and not self._began:
            return
        if not self._began:  # Killed after the last epoch.
            self._begin()
        super().on_train_end()
        self._save("-end", finished=True)

    @contextmanager
    def kept_on_interrupt(self) -> Iterator[None]:
        """Keeps the place of an interruption that came between two steps."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            if self._known and self._step < self.params["steps"]:
                self._keep()
            raise

    def on_train_begin(self, logs: Any = None) -> None:
        """Does nothing: `legs` tells the callbacks, once."""

    def on_train_end(self, logs: Any = None) -> None:
        """Does nothing: `finish` tells the callbacks, once."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Puts back what Keras, and callbacks that begin an epoch, have just reset."""
        self._epoch, self._skipped = epoch, self._step
        sums, self._sums = self._sums, ()
        ours = self.model.metrics_variables
        if [tuple(v.shape) for v in ours] == [array.shape for array in sums]:
            _assign(ours, sums)
        super().on_epoch_begin(epoch, logs)
        if self._skipped and self._found:
            self._put_back(self._found)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        """Gives the callbacks the number of the batch in the whole epoch."""
        self._known = False
        super().on_train_batch_begin(batch + self._skipped, logs)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Writes a checkpoint where one is due or somebody wants to stop."""
        before, self._step = self._step, batch + self._skipped + 1
        self._known = True
        super().on_train_batch_end(batch + self._skipped, logs)
        if self._step == self.params["steps"]:
            return  # The epoch's end keeps it, with the numbers of the validation.
        due = self._every and before // self._every < self._step // self._every
        if due or self._interrupts.waiting:
            self._keep()
            self._interrupts.deliver()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Writes a checkpoint."""
        super().on_epoch_end(epoch, logs)
        self._epoch, self._step, self._skipped = epoch + 1, 0, 0
        self._known = True
        self._keep()
        self._interrupts.deliver()

    def _begin(self) -> None:
        super().on_train_begin()
        self._began, self.model.stop_training = True, False
        if self._found:
            self._remember(self._found)  # The callbacks have just forgotten it.

    def _put_back(self, found: Checkpoint) -> None:
        _assign(weights_of(self.model), found.arrays["weights"])
        _assign(self.model.optimizer.variables, found.arrays["optimizer"])

    def _remember(self, found: Checkpoint) -> None:
        self.recorded.epoch = list(found.state["epochs"])
        self.recorded.history = {k: list(v) for k, v in found.state["history"].items()}
        memories = zip(self.callbacks, found.state["callbacks"], strict=False)
        for place, (callback, memory) in enumerate(memories):
            if memory["class"] == type(callback).__name__:
                vars(callback).update(memory["values"])
                if best := found.arrays.get(f"best{place}"):
                    callback.best_weights = list(best)

    def _keep(self) -> None:
        if self._saved != (self._epoch, self._step):
            self._save()

    def _save(self, mark: str = "", finished: bool = False) -> None:
        total = self._epoch * self.params["steps"] + self._step
        if hasattr(self.model, "jax_state_sync"):
            self.model.jax_state_sync()
        weights = _values(weights_of(self.model))
        if any(w.dtype.kind in "fV" and not np.isfinite(w).all() for w in weights):
            return  # The last good ones stay.
        arrays = {
            "weights": weights,
            "optimizer": _values(self.model.optimizer.variables),
            "metrics": _values(self.model.metrics_variables) if self._step else [],
        }
        for place, callback in enumerate(self.callbacks):
            if best := getattr(callback, "best_weights", None):
                arrays[f"best{place}"] = best
        history = self.recorded.history.items()
        state = {
            "epoch": self._epoch,
            "step": self._step,
            "epochs": self.recorded.epoch,
            "history": {name: list(map(float, values)) for name, values in history},
            "stopped": self._stopped or bool(self.model.stop_training),
            "finished": finished,
            "callbacks": [_memory(callback) for callback in self.callbacks],
        }
        checkpoint = Checkpoint(self._made_for, state, arrays)
        checkpoint.save(self._folder, f"step-{total:010d}{mark}")
        self._saved = self._epoch, self._step


def _memory(callback: Any) -> dict[str, Any]:
    names = next((n for kind, n in _MEMORIES if isinstance(callback, kind)), ())
    values = {name: getattr(callback, name, None) for name in names}
    return {
        "class": type(callback).__name__,
        "values": {k: v if v is None else float(v) for k, v in values.items()},
    }


def _values(variables: Sequence[Any]) -> list[np.ndarray]:
    return [np.asarray(variable) for variable in variables]


def _assign(variables: Sequence[Any], values: Sequence[np.ndarray]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
