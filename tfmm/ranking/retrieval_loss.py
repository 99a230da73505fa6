"""The loss of a two-tower model: `tfrs.tasks.Retrieval` on the clicks of a batch."""

import functools
from typing import Any

import keras

from tfmm.errors import TfmmError
from tfmm.ranking.tfrs_tasks import tensorflow_recommenders


@functools.cache
def _converted(task_type: Any) -> Any:
    # Keras 3 does not run AutoGraph on `call`, which the task's `call` relies on.
    import tensorflow as tf

    return tf.autograph.to_graph(task_type.call)


def retrieval_task(temperature: float = 1.0) -> Any:
    """`tfrs.tasks.Retrieval` that takes one item's other clicks out of the negatives.

    The loss is not reduced: one softmax cross entropy per click.

    Args:
        temperature: What scores are divided by. Defaults to 1.

    Raises:
        TfmmError: Keras runs on another backend than TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise TfmmError(
            "The retrieval task is TensorFlow Recommenders'. Received: KERAS_BACKEND="
            f"{keras.backend.backend()}. Set KERAS_BACKEND=tensorflow."
        )
    return tensorflow_recommenders().tasks.Retrieval(
        loss=keras.losses.CategoricalCrossentropy(from_logits=True, reduction="none"),
        temperature=temperature,
        remove_accidental_hits=True,
    )


def retrieval_losses(
    task: Any, users: Any, items: Any, rows: Any, requests: Any, probability: Any
) -> Any:
    """Losses of P clicks, each against the other clicks of the batch.

    With s the score of click i's user and click j's item, q the probability that an
    item is drawn as a click and T the temperature, the logit is `s / T - log q`. A
    popular item is a negative more often; taking its log q away makes up for it, so
    that `s / T` tends to the log of the true odds. (Adding it would count popularity
    twice.) Clicks on the same item and other clicks of the same request are no
    negatives.

    Args:
        task: `retrieval_task()`.
        users: float `[P, d]`, vectors of the clicks' users.
        items: float `[P, d]`, vectors of the items clicked.
        rows: int32 `[P]`, their catalog rows.
        requests: int `[P]`, their requests.
        probability: float32 `[P]`, their q.

    Returns:
        float32 `[P]`.

    Reference:
        Yi et al., Sampling-bias-corrected neural modeling, RecSys 2019.

    Example:
        >>> import numpy as np
        >>> one = np.ones((2, 1), "float32")
        >>> q = np.full(2, 0.5, "float32")
        >>> loss = retrieval_losses(retrieval_task(), one, one, [2, 3], [0, 1], q)
        >>> np.asarray(loss).round(4).tolist()
        [0.6930999755859375, 0.6930999755859375]
    """
    import tensorflow as tf

    requests = tf.convert_to_tensor(requests)
    other = tf.not_equal(requests[:, None], requests[None, :])
    own = tf.eye(tf.shape(requests)[0], dtype=tf.bool)
    kind: Any = type(task)
    return _converted(kind)(
        task,
        tf.cast(users, tf.float32),
        tf.cast(items, tf.float32),
        candidate_sampling_probability=tf.convert_to_tensor(probability),
        candidate_ids=tf.convert_to_tensor(rows),
        compute_metrics=False,
        compute_batch_metrics=False,
        score_mask=other | own,
    )
