"""The first-in, first-out store of item keys that serve as further negatives."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer

PAPER_SIZE = 196_800


@keras.saving.register_keras_serializable("tfmm")
class MemoryBank(Layer):
    """Item keys of past steps, as many negatives as memory allows.

    A ring buffer of any size: neither need the batch divide it, nor be smaller. The
    variables are not trained and travel with the model's `.keras` file: `keys`
    float32 `[K, d]`, `groups` int32 `[K]` (0 in empty slots), `steps` int32 `[K]`
    (the enqueueing that filled the slot, counted from 1; 0 in empty slots).

    Args:
        size: K, how many keys it holds. `None` leaves it to `build`.
        dimension: d, the width of a key.

    Example:
        >>> import numpy as np
        >>> bank = MemoryBank(size=3, dimension=2)
        >>> bank.enqueue(np.ones((2, 2)), np.array([7, 8]), np.array([True, False]))
        >>> int(bank.filled), ops.convert_to_numpy(bank.groups).tolist()
        (1, [7, 0, 0])
    """

    def __init__(self, size: int | None, dimension: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if (size is not None and size < 1) or dimension < 1:
            raise TfmmError(
                "A memory bank needs at least one slot of at least one dimension. "
                f"Received: size={size}, dimension={dimension}."
            )
        self.size = size
        self.dimension = dimension
        if size is not None:
            self.build()

    def build(self, input_shape: Any = None) -> None:
        """Creates the variables; `size` must be known by now."""
        if self.size is None:
            raise TfmmError(
                "The memory bank has no size yet. Received: bank_size=None without a "
                "data set of known length. Pass `bank_size=`."
            )
        self.keys = self._state("keys", (self.size, self.dimension), "float32")
        self.groups = self._state("groups", (self.size,), "int32")
        self.steps = self._state("steps", (self.size,), "int32")
        self.head = self._state("head", (), "int32")
        self.filled = self._state("filled", (), "int32")
        self.step = self._state("step", (), "int32")
        self.built = True

    def _state(self, name: str, shape: tuple[int, ...], dtype: str) -> Any:
        return self.add_weight(
            name=name,
            shape=shape,
            dtype=dtype,
            initializer="zeros",
            trainable=False,
            autocast=False,
        )

    def occupied(self) -> Any:
        """bool `[K]`: which slots hold a key."""
        return ops.arange(self.size) < self.filled

    def age(self) -> dict[str, float]:
        """How old the keys are, in enqueueings, and how full the bank is.

        Returns:
            `mean` and `max` age of the keys held (1 for those of the last step, 0 in
            an empty bank), and `fill`, the share of slots that hold a key.

        Example:
            >>> import numpy as np
            >>> bank = MemoryBank(size=4, dimension=1)
            >>> for group in (7, 8):
            ...     bank.enqueue(np.ones((1, 1)), np.array([group]))
            >>> bank.age()
            {'mean': 1.5, 'max': 2.0, 'fill': 0.5}
        """
        steps, step = (ops.convert_to_numpy(v) for v in (self.steps, self.step))
        ages = step + 1 - steps[steps > 0].astype(np.int64)
        fill = len(ages) / len(steps)
        if not len(ages):
            return {"mean": 0.0, "max": 0.0, "fill": fill}
        return {"mean": float(ages.mean()), "max": float(ages.max()), "fill": fill}

    def enqueue(self, keys: Any, groups: Any, mask: Any | None = None) -> None:
        """Puts keys in, the oldest out.

        Inside a distribution strategy every replica has to put in the same rows, those
        of all replicas (`replicas.gather`); then the banks stay the same.

        Args:
            keys: float `[B, d]`; no gradient flows into the bank.
            groups: int32 `[B]`, the group of each key's item, never 0.
            mask: bool `[B]`, True for the rows to put in. `None` takes all.
        """
        keys = ops.stop_gradient(ops.cast(keys, "float32"))
        groups = ops.cast(groups, "int32")
        rows = ops.ones_like(groups) if mask is None else ops.cast(mask, "int32")
        places, count = ops.cumsum(rows) - 1, ops.sum(rows)
        # Of a batch larger than the bank only the newest keys have a slot.
        kept = ops.logical_and(rows > 0, places >= count - self.size)
        slots = (self.head + places) % self.size
        step = self.step + 1
        _write(
            (self.keys, self.groups, self.steps),
            slots,
            (keys, groups, ops.zeros_like(groups) + step),
            kept,
        )
        _assign(
            (self.head, self.filled, self.step),
            (
                (self.head + count) % self.size,
                ops.minimum(self.filled + count, self.size),
                step,
            ),
        )

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "dimension": self.dimension,
        }


def default_bank_size(pairs: int) -> int:
    """The paper's 196,800, but not more than four epochs of a small data set.

    Example:
        >>> default_bank_size(1_000), default_bank_size(1_000_000)
        (4000, 196800)
    """
    return min(PAPER_SIZE, 4 * pairs)


def _on_tensorflow() -> bool:
    return keras.backend.backend() == "tensorflow"


def _write(
    variables: tuple[Any, ...], slots: Any, values: tuple[Any, ...], kept: Any
) -> None:
    """Writes the kept rows of each value into the slots of its variable."""
    if _on_tensorflow():
        from tfmm.pretrain import replicas

        chosen = ops.nonzero(kept)[0]
        slots, *rows = (ops.take(x, chosen, axis=0) for x in (slots, *values))
        # In place: `ops.scatter_update` would copy the whole bank every step.
        replicas.change(
            lambda variable, slots, rows: variable.scatter_nd_update(slots, rows),
            variables,
            [slots[:, None]] * len(variables),
            rows,
        )
        return
    # Shapes stay what they are: JAX leaves out what is written behind the end.
    slots = ops.where(kept, slots, variables[0].shape[0])
    for variable, rows in zip(variables, values, strict=True):
        variable.assign(ops.scatter_update(variable, slots[:, None], rows))


def _assign(variables: tuple[Any, ...], values: tuple[Any, ...]) -> None:
    if _on_tensorflow():
        from tfmm.pretrain import replicas

        replicas.change(lambda own, value: own.assign(value), variables, values)
        return
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
