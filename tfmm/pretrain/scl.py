"""Semantic-aware contrastive learning: the model that pre-trains the encoders."""

from pathlib import Path
from typing import Any

import keras
import tensorflow as tf

from tfmm.data.item_batches import check_encoders
from tfmm.encoders.encoder import Encoder
from tfmm.errors import TfmmError
from tfmm.pretrain.encode import encode_parts
from tfmm.pretrain.losses import masked_mean
from tfmm.pretrain.memory_bank import MemoryBank, default_bank_size
from tfmm.pretrain.momentum import (
    Momentum,
    MomentumTower,
    check_momentum,
    momentum_at,
    twin,
)
from tfmm.pretrain.objective import pair_losses
from tfmm.pretrain.pair_batch import (
    Batch,
    check_batch,
    count_pairs,
    item_rows,
    query_part,
    task_rows,
    tower_parts,
)
from tfmm.pretrain.retrieval import RetrievalAccuracy
from tfmm.pretrain.task import MODALITIES, resolve_tasks
from tfmm.pretrain.temperature import Temperature
from tfmm.pretrain.tower_shell import TowerShell


@keras.saving.register_keras_serializable("tfmm")
class SCL(keras.Model):
    """Trains encoders on search: a query ought to be near the item then bought.

    Per task `L = InfoNCE + triplet_weight * max(0, m + q . k_neg - q . k_pos)`
    (eq. 1), its negatives being the other items of the batch and a memory bank that a
    momentum copy of the item tower fills. Items of the positive's catalog row are
    never its negatives. The sum over the tasks is minimised; rows that lack a
    modality are left out of its tasks.

    Query and item of one modality share a tower. A task across modalities has two: its
    query tower is the query's encoder itself, or, where that encoder embeds items
    too, a tower of its own in `query_towers`.

    Args:
        image: An image encoder, or `None`.
        text: A text encoder, or `None`.
        tasks: Of `"image->image"`, `"text->text"`, `"text->image"`, `"image->text"`
            (query -> item). `None` takes one per encoder, within its modality.
        bank_size: Keys per memory bank (one per item modality); 0 for none; `None` for
            the paper's 196,800, but no more than four epochs of pairs.
        momentum: m of the momentum copy, or a Keras schedule of the step.
        temperature_init: tau at the start; learned per task.
        margin: m of the triplet term, as a cosine.
        triplet_weight: Weight of the triplet term; 0 leaves it out.

    Example:
        >>> SCL()
        Traceback (most recent call last):
        ...
        tfmm.errors.TfmmError: An encoder is needed. Received: none. Pass `image=`...
    """

    def __init__(
        self,
        image: Any = None,
        text: Any = None,
        tasks: list[str] | None = None,
        bank_size: int | None = None,
        momentum: Momentum = 0.99,
        temperature_init: float = 0.07,
        margin: float = 0.1,
        triplet_weight: float = 1.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._encoders = check_encoders(image, text)
        self.tasks = tuple(resolve_tasks(tasks, self._encoders))
        check_momentum(momentum)
        self.bank_size, self.momentum = bank_size, momentum
        self.margin, self.triplet_weight = margin, triplet_weight
        self.temperature_init = temperature_init
        self.towers = {name: e.tower for name, e in self._encoders.items()}
        self.item_modalities = tuple(dict.fromkeys(task.item for task in self.tasks))
        self.query_towers = {
            task.name: twin(self._encoders[task.query])
            for task in self.tasks
            if task.query != task.item and task.query in self.item_modalities
        }
        self.momentum_towers: dict[str, MomentumTower] = {}
        self.banks: dict[str, MemoryBank] = {}
        if bank_size != 0:
            for name in self.item_modalities:
                encoder = self._encoders[name]
                self.momentum_towers[name] = MomentumTower(twin(encoder))
                self.banks[name] = MemoryBank(bank_size, encoder.dimension)
        self.temperatures = {t.name: Temperature(temperature_init) for t in self.tasks}
        self._loss_means = {
            t.name: keras.metrics.Mean(name=f"{t.name}_loss") for t in self.tasks
        }
        # The number of present rows differs from batch to batch.
        self.supports_jit = False
        self.built = True

    @property
    def image(self) -> Any:
        """The image encoder, trained in place."""
        return self._encoders.get("image")

    @property
    def text(self) -> Any:
        """The text encoder, trained in place."""
        return self._encoders.get("text")

    def fit(self, x: Any = None, *, validation_data: Any = None, **kwargs: Any) -> Any:
        """As `keras.Model.fit`, with Acc@1 and Acc@5 on `validation_data`.

        Args:
            x: Pair batches, from `tfmm.data.pairs`.
            validation_data: Test pair batches. Their losses and `val_<task>_acc@1`,
                `val_<task>_acc@5` (over all their distinct items) join the history.
            **kwargs: As of `keras.Model.fit`.
        """
        self._build_banks(x)
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)
        if validation_data is not None:
            callbacks = kwargs.pop("callbacks", None) or []
            callbacks = callbacks if isinstance(callbacks, list) else [callbacks]
            kwargs["callbacks"] = [RetrievalAccuracy(validation_data), *callbacks]
        return super().fit(x, validation_data=validation_data, **kwargs)

    def call(self, inputs: Batch, training: bool = False) -> dict[str, tf.Tensor]:
        """The vectors of a pair batch.

        Args:
            inputs: A pair batch as `tfmm.data.pairs` yields it.
            training: Whether dropout and the like are on.

        Returns:
            float32 `[B, d]` each, zeros in rows that lack the modality: `<task>_query`
            per task, `<modality>_item` and `<modality>_negative` per item modality.
        """
        check_batch(inputs, self.tasks)
        vectors: Batch = {}
        hard = self.triplet_weight > 0
        for name, tower in self.towers.items():
            parts = tower_parts(name, self.tasks, self.query_towers, inputs, hard)
            vectors |= encode_parts(tower, parts, training=training)
        for task in self.tasks:
            if task.name in self.query_towers:
                parts = {f"{task.name}_query": query_part(task, inputs)}
                tower = self.query_towers[task.name]
                vectors |= encode_parts(tower, parts, training=training)
        return vectors

    def compute_loss(
        self,
        x: Any = None,
        y: Any = None,
        y_pred: Any = None,
        sample_weight: Any = None,
        training: bool = True,
    ) -> tf.Tensor:
        """The sum of the tasks' losses; each also goes to its `<task>_loss` metric."""
        total = tf.constant(0.0)
        for task in self.tasks:
            rows = task_rows(task, x)
            bank, tau = self.banks.get(task.item), self.temperatures[task.name].value()
            losses = pair_losses(
                task, self.tasks, x, y_pred, bank, tau, self.margin, self.triplet_weight
            )
            loss = masked_mean(losses, rows)
            count = tf.reduce_sum(tf.cast(rows, tf.float32))
            self._loss_means[task.name].update_state(loss, sample_weight=count)
            total += loss
        return total

    def train_step(self, data: Any) -> dict[str, Any]:
        """A gradient step, then the momentum copies, then the memory banks."""
        if self.distribute_strategy.num_replicas_in_sync > 1:
            raise TfmmError(
                "SCL trains on one device, several would fill their banks apart. "
                f"Received: {self.distribute_strategy.num_replicas_in_sync} replicas. "
                "Leave the strategy's scope."
            )
        self._build_banks(None)
        logs = super().train_step(data)
        batch, _, _ = keras.utils.unpack_x_y_sample_weight(data)
        for name, copy in self.momentum_towers.items():
            copy.update(
                self.towers[name], momentum_at(self.momentum, self.optimizer.iterations)
            )
            rows = item_rows(self.tasks, name, batch)
            keys = encode_parts(copy, {"item": (batch[f"item_{name}"], rows)})["item"]
            self.banks[name].enqueue(keys, batch["item"], rows)
        return logs

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; of the encoders, their towers."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            **{name: serialize(tower) for name, tower in self.towers.items()},
            "tasks": [str(task) for task in self.tasks],
            "bank_size": self.bank_size,
            "momentum": serialize(self.momentum),
            "temperature_init": self.temperature_init,
            "margin": self.margin,
            "triplet_weight": self.triplet_weight,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: Any = None) -> "SCL":
        """The model that `get_config` describes; its weights and assets come after."""
        config = dict(config)
        load = keras.saving.deserialize_keras_object
        for name in {*MODALITIES, "momentum"} & set(config):
            config[name] = load(config[name], custom_objects)
        for name in set(MODALITIES) & set(config):
            config[name] = TowerShell(name, config[name])
        return cls(**config)

    def save_assets(self, folder: str) -> None:
        """Puts the encoders, preprocessing included, into the `.keras` file."""
        for name, encoder in self._encoders.items():
            encoder.save(Path(folder) / name)

    def load_assets(self, folder: str) -> None:
        """Takes the encoders from the `.keras` file and gives them their towers."""
        for name in self._encoders:
            encoder = Encoder.load(Path(folder) / name)
            encoder.tower = self.towers[name]
            self._encoders[name] = encoder

    def _build_banks(self, pairs: Any) -> None:
        if all(bank.built for bank in self.banks.values()):
            return
        if self.bank_size is None and (count := count_pairs(pairs)):
            self.bank_size = default_bank_size(count)
        for bank in self.banks.values():
            bank.size = self.bank_size
            bank.build()
