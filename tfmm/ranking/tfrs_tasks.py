"""TensorFlow Recommenders' ranking task under Keras 3."""

import functools
from collections.abc import Sequence
from types import ModuleType
from typing import Any
from unittest import mock

import keras

from tfmm.errors import TfmmError


@functools.cache
def tensorflow_recommenders() -> ModuleType:
    """Imports TFRS, whose version guard alone refuses Keras 3.

    The guard asks `tf.keras.version` while the package is imported; it is answered for
    that moment only. The tasks are ordinary Keras 3 layers afterwards.

    Raises:
        TfmmError: TFRS is not installed.
    """
    import tensorflow as tf

    try:
        with mock.patch.object(tf.keras, "version", lambda: "2.15.0"):
            import tensorflow_recommenders as tfrs
    except ModuleNotFoundError as error:
        raise TfmmError(
            "The ranking task needs TensorFlow Recommenders. Received: "
            f"{error}. Run `pip install tensorflow-recommenders`."
        ) from error
    return tfrs


def ranking_task(metrics: Sequence[keras.Metric] | None = None) -> Any:
    """`tfrs.tasks.Ranking` with a logistic loss per example.

    The loss is not reduced: the caller divides by the number of valid candidates.

    Args:
        metrics: Keras metrics on logits. Defaults to an AUC named `"auc"`.

    Returns:
        A layer `task(labels [M, 1], logits [M, 1], sample_weight=[M]) -> loss [M]`.

    Example:
        >>> task = ranking_task()
        >>> loss = task(keras.ops.ones((2, 1)), keras.ops.zeros((2, 1)))
        >>> [round(float(x), 4) for x in loss]
        [0.6931, 0.6931]
    """
    if metrics is None:
        metrics = [keras.metrics.AUC(from_logits=True, name="auc")]
    return tensorflow_recommenders().tasks.Ranking(
        loss=keras.losses.BinaryCrossentropy(from_logits=True, reduction="none"),
        metrics=list(metrics),
    )
