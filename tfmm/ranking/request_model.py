"""What MAKE and the ranker share: `fit` on request batches."""

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.masks import keep_valid, valid_mask
from tfmm.ranking.optimizers import ranking_optimizer
from tfmm.ranking.tfrs_tasks import ranking_task

Batch = Mapping[str, Any]


def masked_mean_loss(task: Any, labels: Any, logits: Any, mask: Any) -> Any:
    """Mean loss over the valid candidates of all replicas.

    `sum_i mask_i * loss_i / sum_i mask_i` with the denominator taken over all replicas,
    whose gradients are summed. A plain mean would be diluted by padding and would
    double the step under two replicas.

    Args:
        task: Layer from labels `[M, 1]`, logits `[M, 1]` and weights `[M]` to losses
            `[M]`, such as `ranking_task()`.
        labels: float tensor `[B, N]`; anything outside the mask.
        logits: float tensor `[B, N]`.
        mask: bool tensor `[B, N]`.

    Returns:
        float scalar.

    Example:
        >>> loss = masked_mean_loss(
        ...     ranking_task(), ops.array([[1.0, 7.0]]), ops.zeros((1, 2)),
        ...     ops.array([[True, False]]),
        ... )
        >>> round(float(loss), 4)
        0.6931
    """
    weights = ops.reshape(ops.cast(mask, "float32"), (-1,))
    losses = task(
        ops.reshape(keep_valid(ops.cast(labels, "float32"), mask), (-1, 1)),
        ops.reshape(keep_valid(ops.cast(logits, "float32"), mask), (-1, 1)),
        sample_weight=weights,
    )
    return ops.sum(losses) / ops.maximum(_sum_of_replicas(ops.sum(weights)), 1.0)


def _sum_of_replicas(value: Any) -> Any:
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, value)


class RequestModel(keras.Model):
    """A Keras model from request batches (dicts, labels included) to logits `[B, N]`.

    `fit`, `evaluate` and `predict` take a data set of such dicts and nothing else.
    The loss is a task on the valid candidates (`masked_mean_loss`); the task's metrics
    appear in `fit`'s history. `predict` gives logits; the sigmoid belongs to exports.

    Args:
        label: Name of the label trained on; None for the only one in the batch.
        task: The task layer. Defaults to `ranking_task()`.
    """

    def __init__(
        self, label: str | None = None, task: Any = None, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.label = label
        self.task = ranking_task() if task is None else task

    def compile(self, optimizer: Any = None, **kwargs: Any) -> None:
        """Configures training; the loss is the model's task.

        Args:
            optimizer: Keras optimizer or name. Defaults to `ranking_optimizer()`.
            **kwargs: As of `keras.Model.compile`, without `loss` and `metrics`.

        Raises:
            TfmmError: A loss or metrics are given.
        """
        for name in ("loss", "metrics", "weighted_metrics", "loss_weights"):
            if kwargs.get(name) is not None:
                raise TfmmError(
                    "The loss and its metrics are the model's task. Received: "
                    f"{name}={kwargs[name]!r}. Set `model.task = ranking_task(metrics)`"
                    " instead."
                )
        super().compile(optimizer=optimizer or ranking_optimizer(), **kwargs)

    def compile_from_config(self, config: dict[str, Any]) -> None:
        """Compiles a loaded model as it was; its optimizer continues where it was."""
        self.compile(**keras.saving.deserialize_keras_object(config))
        self.optimizer.build(self.trainable_variables)

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> Any:
        labels = x[self.label_key(x)]
        mask = valid_mask(x["n_items"], ops.shape(labels)[1])
        return masked_mean_loss(self.task, labels, y_pred, mask)

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        return self.get_metrics_result()

    def label_key(self, batch: Batch) -> str:
        """The batch's key of the label trained on.

        Raises:
            TfmmError: The label is not in the batch, or not clear.
        """
        found = sorted(key for key in batch if key.startswith("label_"))
        wanted = found if self.label is None else [f"label_{self.label}"]
        if len(wanted) != 1 or wanted[0] not in found:
            raise TfmmError(
                "The label to train on is not in the batch or not clear. Received: "
                f"label={self.label!r}, batch with {found or 'no labels'}. "
                "Name a label of the batch with label=."
            )
        return wanted[0]

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def build_from_config(self, config: Any) -> None:
        """Nothing to do: the constructor builds everything."""


def check_batch(batch: Batch, needed: tuple[str, ...], model: str) -> None:
    """Refuses a batch that lacks keys, by name.

    Args:
        batch: The request batch.
        needed: Keys the model reads.
        model: The model's name, for the message.

    Raises:
        TfmmError: A key is missing.

    Example:
        >>> check_batch({"item": 0}, ("item",), "MAKE")
    """
    missing = [key for key in needed if key not in batch]
    if missing:
        raise TfmmError(
            f"The batch lacks what {model} reads: {', '.join(missing)}. "
            f"Received: {sorted(batch)}. Read it with tfmm.data.requests and the "
            "schema and vocabularies that the model was built from."
        )
