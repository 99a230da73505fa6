"""What every numbering of titles is: cutting, marks, filling, counting."""

from abc import ABC, abstractmethod
from typing import Any, Self

import tensorflow as tf


class Tokens(ABC):
    """Titles to token ids, as TensorFlow graph ops: for tf.data and for the server.

    Args:
        sequence_length: Length T of the output, marks included.
        pad_id: The id that fills.
        start: The mark before a title, or `None`.
        end: The mark after a title, or `None`.
    """

    def __init__(
        self, sequence_length: int, pad_id: int, start: int | None, end: int | None
    ) -> None:
        self.sequence_length, self.pad_id = sequence_length, pad_id
        self._start, self._end = start, end
        titles = [tf.TensorSpec([None], tf.string)]
        self._graph = tf.function(self._read, input_signature=titles)
        self._counts = tf.function(self._count, input_signature=titles)

    def __call__(self, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Token ids of titles.

        Args:
            title: string `[B]`.

        Returns:
            int32 `[B, T]`, and bool `[B]`: which titles hold anything to read.
        """
        return self._graph(title)

    def count(self, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """How many tokens uncut titles have, and how many are bytes or unknown.

        Args:
            title: string `[B]`.

        Returns:
            Two int32 scalars, marks and filling left out.
        """
        return self._counts(title)

    def fresh(self) -> Self:
        """The same numbering without memory of what it has read; for exports."""
        return self

    @property
    def resources(self) -> tuple[Any, ...]:
        """What a SavedModel must hold for the graph to run, such as tables."""
        return ()

    @abstractmethod
    def _cut(self, title: tf.Tensor) -> tf.RaggedTensor:
        """The ids of whole titles, int32 `[B, (tokens)]`, without marks."""

    @abstractmethod
    def _strange(self, ids: tf.Tensor) -> tf.Tensor:
        """bool: which ids stand for bytes or for something unknown."""

    def _read(self, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pieces = self._cut(title)
        return pack(pieces, self._start, self._end, self.pad_id, self.sequence_length)

    def _count(self, title: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        ids = self._cut(title).flat_values
        return tf.size(ids), tf.reduce_sum(tf.cast(self._strange(ids), tf.int32))


def pack(
    pieces: tf.RaggedTensor, start: int | None, end: int | None, pad: int, length: int
) -> tuple[tf.Tensor, tf.Tensor]:
    """Cuts, marks and pads ragged token ids; a mark that is `None` is left out.

    Returns:
        int32 `[B, length]`, and bool `[B]`: which rows had any token.
    """
    present = pieces.row_lengths() > 0
    column = tf.ones([tf.shape(present)[0], 1], tf.int32)
    before = [] if start is None else [column * start]
    after = [] if end is None else [column * end]
    pieces = tf.cast(pieces, tf.int32)[:, : length - len(before) - len(after)]
    packed = tf.concat([*before, pieces, *after], axis=1)
    return packed.to_tensor(pad, shape=[None, length]), present
