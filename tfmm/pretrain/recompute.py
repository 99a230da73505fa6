"""A tower over many rows, chunk by chunk, its activations never all kept at once."""

from typing import Any

import keras
import tensorflow as tf

Tensors = list[tf.Tensor]


def encode_in_chunks(
    tower: Any, rows: Any, chunk_size: int, options: dict[str, Any]
) -> tf.Tensor:
    """`tower(rows)`, of which only the vectors are remembered for the gradient.

    Going back, each chunk is encoded again, with the random states it had, and its
    gradient added to the sum. Gradients are dense, also of embedding tables. There is
    no second derivative.

    Args:
        tower: A Keras layer, or any function without trainable variables.
        rows: `[n, ...]`, or a structure of such tensors. Those that are floating get a
            gradient.
        chunk_size: Rows per chunk; the last may have fewer.
        options: Further arguments of the tower.

    Returns:
        float32 `[n, d]`.

    Example:
        >>> x = tf.constant([[1.0], [2.0], [3.0]])
        >>> encode_in_chunks(lambda rows: rows * rows, x, 2, {}).numpy().tolist()
        [[1.0], [4.0], [9.0]]
    """
    chunks = _Chunks(tower, rows, chunk_size, options)
    weights = [tf.convert_to_tensor(v.value) for v in chunks.trained]
    state = [tf.convert_to_tensor(v.value) for v in chunks.moving]
    floating = [row for row in tf.nest.flatten(rows) if row.dtype.is_floating]

    @tf.custom_gradient
    def encode(*tensors: tf.Tensor) -> Any:
        vectors, seen, after = chunks.forward(list(tensors), state)

        def gradient(upstream: tf.Tensor, *_: Any) -> Tensors:
            return chunks.backward(list(tensors), seen, upstream)

        return (vectors, *after), gradient

    if not weights and not floating:
        vectors, _, after = chunks.forward([], state)
    else:
        vectors, *after = encode(*weights, *floating)
    for variable, value in zip(chunks.moving, after, strict=True):
        variable.assign(value)
    return vectors


class _Chunks:
    """A tower's chunks as pure functions of weights, floating rows and states."""

    def __init__(
        self, tower: Any, rows: Any, chunk_size: int, options: dict[str, Any]
    ) -> None:
        self.tower, self.options, self.size = tower, options, chunk_size
        self.structure, self.rows = rows, tf.nest.flatten(rows)
        self.count = tf.shape(self.rows[0])[0]
        self.number = tf.maximum((self.count + chunk_size - 1) // chunk_size, 1)
        self.trained = list(getattr(tower, "trainable_variables", ()))
        # Random states and running statistics; frozen weights were once trainable.
        rest = list(getattr(tower, "non_trainable_variables", ()))
        self.moving = [v for v in rest if not v.value.trainable]
        self.frozen = [
            (v, tf.convert_to_tensor(v.value)) for v in rest if v.value.trainable
        ]

    def forward(
        self, tensors: Tensors, state: Tensors
    ) -> tuple[tf.Tensor, Tensors, Tensors]:
        """The vectors, the states each chunk began with, and those after the last."""
        arrays = [_array(tf.float32, False), *(_array(s.dtype, True) for s in state)]
        width = None

        def body(place: tf.Tensor, arrays: Any, state: Tensors) -> Any:
            nonlocal width
            vectors, after = self._encode(tensors, self._chunk(tensors, place), state)
            width = vectors.shape[-1]
            written = zip(arrays, [vectors, *state], strict=True)
            return place + 1, [a.write(place, value) for a, value in written], after

        _, arrays, after = self._loop(body, arrays, state)
        vectors = tf.ensure_shape(arrays[0].concat(), [None, width])
        return vectors, [array.stack() for array in arrays[1:]], after

    def backward(self, tensors: Tensors, seen: Tensors, upstream: tf.Tensor) -> Tensors:
        """The gradient of weights and floating rows, each chunk encoded once more."""
        known = len(self.trained)
        arrays = [_array(tensor.dtype, False) for tensor in tensors[known:]]

        def body(place: tf.Tensor, arrays: Any, sums: Tensors) -> Any:
            weights = [tf.identity(weight) for weight in tensors[:known]]
            chunk = self._chunk(tensors, place)
            floating = [row for row in chunk if row.dtype.is_floating]
            with tf.GradientTape(watch_accessed_variables=False) as tape:
                tape.watch(weights + floating)
                state = [table[place] for table in seen]
                vectors, _ = self._encode(weights, chunk, state)
            slopes = tape.gradient(
                vectors,
                weights + floating,
                output_gradients=self._cut(upstream, place),
                unconnected_gradients=tf.UnconnectedGradients.ZERO,
            )
            # A lookup's gradient names its rows; the sum is a table.
            slopes = [tf.convert_to_tensor(slope) for slope in slopes]
            sums = [s + slope for s, slope in zip(sums, slopes[:known], strict=True)]
            written = zip(arrays, slopes[known:], strict=True)
            return place + 1, [a.write(place, slope) for a, slope in written], sums

        sums = [tf.zeros_like(weight) for weight in tensors[:known]]
        _, arrays, sums = self._loop(body, arrays, sums)
        return sums + [array.concat() for array in arrays]

    def _loop(self, body: Any, *state: Any) -> Any:
        def going(place: tf.Tensor, *_: Any) -> tf.Tensor:
            return place < self.number

        # Several chunks at once would need the memory of several.
        return tf.while_loop(
            going, body, (tf.constant(0), *state), parallel_iterations=1
        )

    def _cut(self, rows: tf.Tensor, place: tf.Tensor) -> tf.Tensor:
        return rows[place * self.size : (place + 1) * self.size]

    def _chunk(self, tensors: Tensors, place: tf.Tensor) -> Tensors:
        """The rows of a chunk; floating ones are those of `tensors`."""
        floating = iter(tensors[len(self.trained) :])
        rows = [next(floating) if r.dtype.is_floating else r for r in self.rows]
        return [self._cut(row, place) for row in rows]

    def _encode(
        self, tensors: Tensors, chunk: Tensors, state: Tensors
    ) -> tuple[tf.Tensor, Tensors]:
        """The vectors of a chunk and the state after it; no variable changes."""
        weights = tensors[: len(self.trained)]
        mapping = [*self.frozen, *zip(self.trained, weights, strict=True)]
        mapping += zip(self.moving, state, strict=True)
        rows = tf.nest.pack_sequence_as(self.structure, chunk)
        with keras.StatelessScope(state_mapping=mapping) as scope:
            vectors = self.tower(rows, **self.options)
        after = [scope.get_current_value(variable) for variable in self.moving]
        return tf.cast(vectors, tf.float32), after


def _array(dtype: tf.DType, same_shape: bool) -> tf.TensorArray:
    return tf.TensorArray(dtype, 0, dynamic_size=True, infer_shape=same_shape)
