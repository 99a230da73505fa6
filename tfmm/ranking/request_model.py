"""What MAKE and the ranker share: `fit` on request batches."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Keras3Only
from tfmm.layers.masks import keep_valid, valid_mask
from tfmm.ranking.loss_scale import scaled_for
from tfmm.ranking.optimizers import ranking_optimizer
from tfmm.ranking.plain_task import PlainTask
from tfmm.ranking.resumable import Resumable
from tfmm.ranking.tfrs_tasks import ranking_task

Batch = Mapping[str, Any]


def masked_mean_loss(
    task: Any, labels: Any, logits: Any, mask: Any, weight: Any = None
) -> Any:
    """Mean loss over the valid candidates of all replicas.

    `sum_i w_i * loss_i / sum_i w_i`, where `w` is 0 outside the mask and else the
    weight, with the denominator taken over all replicas,
    whose gradients are summed. A plain mean would be diluted by padding and would
    double the step under two replicas.

    Args:
        task: Layer from labels `[M, 1]`, logits `[M, 1]` and weights `[M]` to losses
            `[M]`, such as `ranking_task()`.
        labels: float tensor `[B, N]`; anything outside the mask.
        logits: float tensor `[B, N]`.
        mask: bool tensor `[B, N]`.
        weight: float tensor `[B, N]`, how many candidates each stands for; 1 if absent.

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
    kept = ops.cast(mask, "float32")
    if weight is not None:
        kept = keep_valid(ops.cast(weight, "float32"), mask)
    weights = ops.reshape(kept, (-1,))
    losses = task(
        ops.reshape(keep_valid(ops.cast(labels, "float32"), mask), (-1, 1)),
        ops.reshape(keep_valid(ops.cast(logits, "float32"), mask), (-1, 1)),
        sample_weight=weights,
    )
    return mean_of_replicas(losses, ops.sum(weights))


def mean_of_replicas(losses: Any, count: Any) -> Any:
    """The sum of this replica's losses over the number of examples of all replicas.

    Args:
        losses: float tensor of any shape, 0 where it does not count.
        count: float scalar, this replica's number of examples.

    Returns:
        float scalar; 0 without examples.
    """
    return ops.sum(losses) / ops.maximum(_sum_of_replicas(count), 1.0)


def _sum_of_replicas(value: Any) -> Any:
    if keras.backend.backend() != "tensorflow":
        return value
    import tensorflow as tf

    replica = tf.distribute.get_replica_context()
    if replica is None or replica.num_replicas_in_sync == 1:
        return value
    return replica.all_reduce(tf.distribute.ReduceOp.SUM, value)


class RequestModel(Keras3Only, Resumable):
    """A Keras model from request batches (dicts, labels included) to logits `[B, N]`.

    `fit`, `evaluate` and `predict` take a data set of such dicts and nothing else.
    The loss is a task on the valid candidates (`masked_mean_loss`), summed over the
    labels; the tasks' metrics appear in `fit`'s history. `predict` gives logits; the
    sigmoid belongs to exports. With several labels the output is a dict by label.

    Args:
        labels: Names of the labels trained on; None for the only one in the batch.
        loss: A Keras loss on logits in place of `tfrs.tasks.Ranking`.
        tasks: Tasks in the place of these.

    Attributes:
        tasks: One task per label, in order.
    """

    def __init__(
        self,
        labels: Sequence[str] | None = None,
        loss: keras.losses.Loss | None = None,
        tasks: Sequence[Any] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.labels = None if labels is None else tuple(labels)
        self.loss_on_logits = loss
        self.tasks = tasks or [
            _task(loss, "auc" if place == 0 else f"auc_{label}")
            for place, label in enumerate(self.labels or ("",))
        ]

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
                    f"{name}={kwargs[name]!r}. Give `loss` to the model itself; "
                    "further metrics come from tfmm.evaluation.collect."
                )
        optimizer = optimizer or ranking_optimizer()
        if kwargs.get("auto_scale_loss", True):
            optimizer = scaled_for(self.dtype_policy.name, optimizer)
        super().compile(optimizer=optimizer, **kwargs)

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
        keys = self.label_keys(x)
        mask = valid_mask(x["n_items"], ops.shape(x[keys[0]])[1])
        logits = list(y_pred.values()) if isinstance(y_pred, dict) else [y_pred]
        losses = [
            masked_mean_loss(task, x[key], logit, mask, x.get("weight"))
            for task, key, logit in zip(self.tasks, keys, logits, strict=True)
        ]
        return sum(losses[1:], losses[0])

    def compute_metrics(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None
    ) -> dict[str, Any]:
        return self.get_metrics_result()

    def label_keys(self, batch: Batch) -> list[str]:
        """The batch's keys of the labels trained on.

        Raises:
            TfmmError: A label is not in the batch, or not clear.
        """
        found = sorted(key for key in batch if key.startswith("label_"))
        if self.labels is None:
            wanted = found
        else:
            wanted = [f"label_{label}" for label in self.labels]
        clear = self.labels is not None or len(found) == 1
        if not clear or any(key not in found for key in wanted):
            raise TfmmError(
                "The labels to train on are not in the batch or not clear. Received: "
                f"labels={self.labels}, batch with {found or 'no labels'}. "
                "Name labels of the batch with labels=."
            )
        return wanted

    def build(self, input_shape: Any = None) -> None:
        self.built = True

    def build_from_config(self, config: Any) -> None:
        """Nothing to do: the constructor builds everything."""


def _task(loss: keras.losses.Loss | None, metric: str) -> Any:
    metrics = [keras.metrics.AUC(from_logits=True, name=metric)]
    return ranking_task(metrics) if loss is None else PlainTask(loss, metrics)


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
