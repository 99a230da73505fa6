"""The ranking task without TensorFlow Recommenders: any Keras loss on logits."""

from collections.abc import Sequence
from typing import Any

import keras

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer


@keras.saving.register_keras_serializable(package="tfmm")
class PlainTask(Layer):
    """A Keras loss and metrics on logits, called as `tfrs.tasks.Ranking` is.

    Args:
        loss: A `keras.losses.Loss` on logits; its reduction is left out.
        metrics: Keras metrics on logits.

    Input shape:
        labels `[M, 1]`, logits `[M, 1]`, sample_weight `[M]`.

    Output shape:
        float32 losses `[M]`, times the weights.

    Raises:
        TfmmError: A name or function instead of a loss: only an object says whether it
            reads logits.

    Example:
        >>> task = PlainTask(keras.losses.BinaryCrossentropy(from_logits=True), [])
        >>> loss = task(keras.ops.ones((1, 1)), keras.ops.zeros((1, 1)))
        >>> round(float(loss[0]), 4)
        0.6931
    """

    def __init__(
        self, loss: keras.losses.Loss, metrics: Sequence[keras.Metric], **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(loss, keras.losses.Loss):
            raise TfmmError(
                "The loss must be a Keras loss that reads logits. Received: "
                f"loss={loss!r}. Give an object, for example "
                "keras.losses.BinaryCrossentropy(from_logits=True)."
            )
        config = {**keras.losses.serialize(loss)["config"], "reduction": None}
        self.loss = type(loss).from_config(config)
        self.task_metrics = list(metrics)
        self.built = True

    def call(self, labels: Any, logits: Any, sample_weight: Any = None) -> Any:
        for metric in self.task_metrics:
            metric.update_state(labels, logits, sample_weight)
        return self.loss(labels, logits, sample_weight)
