"""What SCL does with a batch: its losses, a training step, an evaluation."""

from collections.abc import Mapping
from typing import Any

import keras
import tensorflow as tf

from tfmm.pretrain.banks import banks_at, fill, follow, momentum_keys
from tfmm.pretrain.encoder_model import EncoderModel
from tfmm.pretrain.finite import (
    may_overflow,
    moving_state,
    named_causes,
    require_finite,
)
from tfmm.pretrain.memory_bank import MemoryBank, default_bank_size
from tfmm.pretrain.momentum import Momentum, MomentumTower, momentum_at
from tfmm.pretrain.objective import Objective, share_of_mean
from tfmm.pretrain.pair_batch import Batch, check_batch, count_pairs, task_rows
from tfmm.pretrain.replicas import total
from tfmm.pretrain.task import Task
from tfmm.pretrain.temperature import Temperature


class SCLSteps(EncoderModel):
    """The steps of `SCL`, whose constructor sets what they work with."""

    tasks: tuple[Task, ...]
    objective: Objective
    bank_size: int | None
    bank_start: int
    momentum: Momentum
    towers: Mapping[str, keras.Model]
    query_towers: Mapping[str, keras.Model]
    momentum_towers: Mapping[str, MomentumTower]
    banks: Mapping[str, MemoryBank]
    temperatures: Mapping[str, Temperature]
    _loss_means: Mapping[str, keras.metrics.Mean]

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The sum of the tasks' losses; each also goes to its `<task>_loss` metric.

        Of several replicas each gives its share; the shares add up to the loss.
        """
        return self._summed(self._task_losses(x, y_pred, self._keys(x)))

    def train_step(self, data: Any) -> dict[str, Any]:
        """A gradient step, then the momentum copies, then the memory banks."""
        self._build_state(None)
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        check_batch(batch, self.tasks)
        step = tf.identity(self.optimizer.iterations)
        before = moving_state([*self.towers.values(), *self.query_towers.values()])
        keys = self._keys(batch)
        with tf.GradientTape() as tape:
            vectors = self(batch, training=True)
            losses = self._task_losses(batch, vectors, keys)
            loss = self._summed(losses)
            scaled = self.optimizer.scale_loss(loss)
        weights = self.trainable_weights
        # Keras's optimizers take wrong steps for tokens that repeat in a batch, unless
        # the gradient of a lookup is a whole table.
        gradients = [
            None if gradient is None else tf.convert_to_tensor(gradient)
            for gradient in tape.gradient(scaled, weights)
        ]
        overflow = may_overflow(self.optimizer)
        verdict = require_finite(
            losses, gradients, batch, weights, step, before, overflow
        )
        with tf.control_dependencies([verdict]):
            self.optimizer.apply_gradients(zip(gradients, weights, strict=True))
            momentum = momentum_at(self.momentum, self.optimizer.iterations)
            # Gradients that are being accumulated move nothing yet.
            moved = tf.not_equal(self.optimizer.iterations, step)
            follow(self.towers, self.momentum_towers, momentum, moved)
            fill(self.tasks, self.banks, keys, batch)
            self._count_loss(loss, batch)
            return self.compute_metrics(batch, None, vectors)

    def test_step(self, data: Any) -> dict[str, Any]:
        """The losses of a batch; nothing changes."""
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        vectors = self(batch, training=False)
        loss = self.compute_loss(batch, None, vectors)
        self._count_loss(loss, batch)
        return self.compute_metrics(batch, None, vectors)

    def predict_on_batch(self, x: Any) -> Any:
        """As of `keras.Model`; each replica does all of it, and one is taken."""
        found = super().predict_on_batch(x)
        rows = len(x["item"])
        return {name: vectors[:rows] for name, vectors in found.items()}

    def train_on_batch(self, *args: Any, **kwargs: Any) -> Any:
        """As of `keras.Model`; raises `TfmmError` as `fit` does."""
        with named_causes():
            return super().train_on_batch(*args, **kwargs)

    def _keys(self, batch: Batch) -> dict[str, tf.Tensor]:
        chunk_size = self.objective.chunk_size
        return momentum_keys(self.tasks, self.momentum_towers, batch, chunk_size)

    def _task_losses(
        self, batch: Batch, vectors: Batch, keys: dict[str, tf.Tensor]
    ) -> dict[str, tf.Tensor]:
        """By task, this replica's share of the loss."""
        shares, step = {}, self.optimizer.iterations
        banks = banks_at(self.banks, keys, self.bank_start, step)
        for task in self.tasks:
            losses = self.objective.losses(
                task,
                self.tasks,
                batch,
                vectors,
                self.temperatures[task.name].value(),
                banks.get(task.item),
            )
            rows = task_rows(task, batch)
            shares[task.name] = share_of_mean(losses, rows)
            self._loss_means[task.name].update_state(losses, sample_weight=rows)
        return shares

    def _count_loss(self, loss: tf.Tensor, batch: Batch) -> None:
        pairs = tf.shape(batch["item"])[0]
        self._loss_tracker.update_state(total(loss), sample_weight=pairs)

    def _summed(self, losses: dict[str, tf.Tensor]) -> tf.Tensor:
        replicas = self.distribute_strategy.num_replicas_in_sync
        penalties = [tf.cast(loss, tf.float32) / replicas for loss in self.losses]
        return tf.add_n([*losses.values(), *penalties])

    def _build_state(self, pairs: Any) -> None:
        """Creates the banks, once their size is known, and the optimizer's slots."""
        optimizer = getattr(self, "optimizer", None)
        slots = optimizer is None or optimizer.built
        if slots and all(bank.built for bank in self.banks.values()):
            return
        if self.bank_size is None and (count := count_pairs(pairs)):
            self.bank_size = default_bank_size(count)
        with self.distribute_strategy.scope():
            for bank in self.banks.values():
                if not bank.built:
                    bank.size = self.bank_size
                    bank.build()
            if optimizer is not None and not slots:
                optimizer.build(self.trainable_variables)
