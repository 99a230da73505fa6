"""The first-in, first-out store of item keys that serve as further negatives."""

from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError

PAPER_SIZE = 196_800


@keras.saving.register_keras_serializable("tfmm")
class MemoryBank(keras.layers.Layer):
    """Item keys of past steps, as many negatives as memory allows.

    A ring buffer of any size: neither need the batch divide it, nor be smaller. The
    variables are not trained and travel with the model's `.keras` file.

    Args:
        size: K, how many keys it holds. `None` leaves it to `build`.
        dimension: d, the width of a key.

    Example:
        >>> import numpy as np
        >>> bank = MemoryBank(size=3, dimension=2)
        >>> bank.enqueue(np.ones((2, 2)), np.array([7, 8]), np.array([True, False]))
        >>> int(bank.filled), ops.convert_to_numpy(bank.items).tolist()
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
        self.items = self._state("items", (self.size,), "int32")
        self.head = self._state("head", (), "int32")
        self.filled = self._state("filled", (), "int32")
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

    def enqueue(self, keys: Any, items: Any, mask: Any | None = None) -> None:
        """Puts keys in, the oldest out.

        Args:
            keys: float `[B, d]`; no gradient flows into the bank.
            items: int32 `[B]`, the catalog row of each key.
            mask: bool `[B]`, True for the rows to put in. `None` takes all.
        """
        keys = ops.stop_gradient(ops.cast(keys, "float32"))
        items = ops.cast(items, "int32")
        if mask is not None:
            chosen = ops.nonzero(mask)[0]
            keys, items = (
                ops.take(keys, chosen, axis=0),
                ops.take(items, chosen, axis=0),
            )
        count = ops.shape(keys)[0]
        # Of a batch larger than the bank only the newest keys have a slot.
        first = ops.maximum(count - self.size, 0)
        keys, items = keys[first:], items[first:]
        slots = (self.head + first + ops.arange(ops.shape(keys)[0])) % self.size
        slots = ops.cast(slots, "int32")
        _write(self.keys, slots, keys)
        _write(self.items, slots, items)
        self.head.assign((self.head + count) % self.size)
        self.filled.assign(ops.minimum(self.filled + count, self.size))

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


def _write(variable: Any, slots: Any, values: Any) -> None:
    if keras.backend.backend() == "tensorflow":
        # In place: `ops.scatter_update` would copy the whole bank every step.
        variable.value.scatter_nd_update(slots[:, None], values)
    else:
        variable.assign(ops.scatter_update(variable, slots[:, None], values))
