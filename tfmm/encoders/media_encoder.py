"""Encoders of raw media: files and titles as bytes."""

from abc import abstractmethod

import tensorflow as tf

from tfmm.encoders.encoder import Encoder


class MediaEncoder(Encoder):
    """Raw media of one modality to unit vectors.

    `read` turns raw bytes into the tower's input with TensorFlow graph ops, the same
    ones in a tf.data pipeline and in a served graph; `tower` goes on from there.
    """

    def preprocess(self, raw: tf.Tensor) -> tf.Tensor:
        """The tower's input for raw media, string `[B]`."""
        return self.read(raw)[0]

    @abstractmethod
    def read(self, raw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """The tower's input for raw media, and which of them are usable.

        Args:
            raw: string `[B]`; empty where there is nothing.

        Returns:
            The tower's input `[B, ...]`, and bool `[B]`. Unusable media give some valid
            input, never an error.
        """
