"""Semantic-aware contrastive learning: the model that pre-trains the encoders."""

import dataclasses
from copy import copy
from pathlib import Path
from typing import Any, Literal

import keras
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.fitting.checkpoints import fit_with_checkpoints
from tfmm.pretrain.banks import new_banks
from tfmm.pretrain.encoder_model import tower_configs
from tfmm.pretrain.finite import named_causes
from tfmm.pretrain.momentum import Momentum, check_momentum, twin
from tfmm.pretrain.objective import Objective
from tfmm.pretrain.pair_batch import (
    Batch,
    check_batch,
    item_modalities,
    task_rows,
)
from tfmm.pretrain.replicas import check_accumulation
from tfmm.pretrain.retrieval import RetrievalAccuracy
from tfmm.pretrain.scl_steps import SCLSteps
from tfmm.pretrain.task import resolve_tasks
from tfmm.pretrain.temperature import Temperature
from tfmm.pretrain.towers import (
    check_encoders,
    encode_wanted,
    own_query_towers,
    query_tower,
    wanted_rows,
)


@keras.saving.register_keras_serializable("tfmm")
class SCL(SCLSteps):
    """Trains encoders on search: a query ought to be near the item then bought.

    Per task `-log(exp(q . k+ / tau) / sum_i exp(q . k_i / tau))
    + triplet_weight * max(0, margin + q . k_neg - q . k_pos)` (eq. 1), the first term
    once against the other items of the batch (of all replicas), once against a memory
    bank that a momentum copy of the item tower fills; see `Objective`. Items that
    answer the query too (of the bought item's group, or bought in the same search) are
    never its negatives. The sum over the tasks is minimised; rows that lack a modality,
    or are of another source, are left out of a task.

    Query and item of one modality share a tower. A task across modalities has two: its
    query tower is the query's encoder itself, or, where that encoder embeds items
    too, a tower of its own in `query_towers`. The live item tower encodes positives
    and hard negatives; after each optimizer step its momentum copy follows, and the
    copy's keys enter the bank. With `gradient_accumulation_steps` the copy follows
    once per update of the weights, the bank takes the keys of each batch.

    Several replicas give the updates of one. Layers that look at the whole batch are
    the exception: batch normalisation sees its replica's rows (or its chunk's), and
    keeps statistics of them, unless it is `synchronized`.

    Args:
        image: An image encoder, or `None`.
        text: A text encoder, or `None`.
        vector: An encoder of ready-made vectors, or `None`.
        fusion: A head that makes one vector of image and text, or `None`.
        tasks: `"[source:]query->item"`, e.g. `"text->image"` or
            `"clicked:image->image"`; see `Task`. `None` takes one per encoder, within
            its modality.
        bank_size: Keys per memory bank (one per item modality); 0 for none; `None` for
            the paper's 196,800, but no more than four epochs of pairs.
        bank_start: Optimizer steps before the bank's keys count; it fills meanwhile.
        momentum: m of the momentum copy, or a schedule of the optimizer step.
        temperature_init: tau at the start; learned per task.
        temperature_bounds: The smallest and the largest tau.
        margin: m of the triplet term, as a cosine.
        triplet_weight: Weight of the triplet term; 0 leaves it out.
        bank_positive: `"momentum"`: the bank's keys are compared with the positive as
            the copy that made them sees it. `"live"`: one sum over batch and bank,
            which tends to collapse; see `Objective`.
        symmetric: Whether items look for their queries too, within the batch.
        chunk_size: Rows that towers and loss work on at once, for batches that would
            not fit into memory; the numbers are the same but for batch normalisation,
            see `encode_parts`. `None` for all.

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
        vector: Any = None,
        fusion: Any = None,
        tasks: list[str] | None = None,
        bank_size: int | None = None,
        bank_start: int = 0,
        momentum: Momentum = 0.99,
        temperature_init: float = 0.07,
        temperature_bounds: tuple[float, float] = (0.01, 1.0),
        margin: float = 0.1,
        triplet_weight: float = 10.0,
        bank_positive: Literal["momentum", "live"] = "momentum",
        symmetric: bool = False,
        chunk_size: int | None = None,
        **kwargs: Any,
    ) -> None:
        # Ready-made vectors are not to be rounded on their way to the towers.
        super().__init__(autocast=False, **kwargs)
        self._encoders = check_encoders(
            image=image, text=text, vector=vector, fusion=fusion
        )
        self.tasks = tuple(resolve_tasks(tasks, self._encoders))
        self.objective = Objective(
            margin, triplet_weight, bank_positive, symmetric, chunk_size
        )
        check_momentum(momentum)
        self.bank_size, self.bank_start = bank_size, bank_start
        self.momentum, self.temperature_init = momentum, temperature_init
        self.temperature_bounds = tuple(temperature_bounds)
        self.towers = {name: e.tower for name, e in self._encoders.items()}
        self.query_towers = {
            direction: twin(self._encoders[modality])
            for direction, modality in own_query_towers(self.tasks).items()
        }
        self.momentum_towers, self.banks = new_banks(
            self.tasks, self._encoders, bank_size, bank_start
        )
        self.temperatures = {
            task.name: Temperature(temperature_init, *temperature_bounds)
            for task in self.tasks
        }
        self._loss_means = {
            t.name: keras.metrics.Mean(name=f"{t.name}_loss") for t in self.tasks
        }
        # The number of present rows differs from batch to batch.
        self.supports_jit = False
        self.built = True

    def fit(
        self,
        x: Any = None,
        *,
        validation_data: Any = None,
        checkpoints: str | Path | None = None,
        checkpoint_every: int | None = None,
        **kwargs: Any,
    ) -> Any:
        """As `keras.Model.fit`, with Acc@1 and Acc@5 on `validation_data`.

        Args:
            x: Pair batches, from `tfmm.data.pairs`.
            validation_data: Test pair batches. Their losses and `val_<task>_acc@1`,
                `val_<task>_acc@5` (over all their distinct items) join the history.
            checkpoints: A folder for checkpoints; a fit that was interrupted goes on
                from the newest there. `None` for none.
            checkpoint_every: Steps between checkpoints; `None` for one an epoch.
            **kwargs: As of `keras.Model.fit`.

        Raises:
            TfmmError: If a loss or gradient is NaN or infinite; the weights are then
                those from before that batch. If gradients are accumulated on several
                replicas, which Keras cannot.
        """
        check_accumulation(self)
        self._build_state(x)
        if isinstance(x, tf.data.Dataset):
            kwargs.setdefault("shuffle", False)
        if validation_data is not None:
            given = kwargs.pop("callbacks", None) or []
            given = given if isinstance(given, list) else [given]
            every = kwargs.get("validation_freq", 1)
            accuracy = RetrievalAccuracy(validation_data, every=every)
            kwargs["callbacks"] = [accuracy, *given]
        kwargs["validation_data"] = validation_data
        with named_causes():
            if checkpoints is None:
                return super().fit(x, **kwargs)
            return fit_with_checkpoints(
                self, super().fit, x, checkpoints, checkpoint_every, **kwargs
            )

    def query_encoder(self, task: str) -> Any:
        """The encoder of a task's queries, to look for items by words or a picture.

        Args:
            task: The task's name, text or direction, e.g. `"text_to_image"`.

        Returns:
            The item's own encoder, or one of the same preprocessing with the tower that
            the task's queries have beside it.

        Raises:
            TfmmError: If there is no such task.
        """
        found = [t for t in self.tasks if task in (t.name, str(t), t.direction)]
        if not found:
            raise TfmmError(
                f"There is no task {task!r}. Received: {task!r}, of the tasks "
                f"{', '.join(t.name for t in self.tasks)}. Choose one of them."
            )
        encoder = copy(self._encoders[found[0].query])
        towers = {**self.towers, **self.query_towers}
        encoder.tower = towers[query_tower(found[0], self.query_towers)]
        return encoder

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
        hard = self.objective.triplet_weight > 0
        vectors = encode_wanted(
            {**self.towers, **self.query_towers},
            wanted_rows(self.tasks, self.query_towers, inputs, hard),
            inputs,
            self.objective.chunk_size,
            training=training,
        )
        result = {
            f"{name}_{part}": vectors[name, part]
            for name in item_modalities(self.tasks)
            for part in (("item", "negative") if hard else ("item",))
        }
        for task in self.tasks:
            query = vectors[query_tower(task, self.query_towers), "query"]
            rows = task_rows(task, inputs)[:, None]
            result[f"{task.name}_query"] = tf.where(rows, query, 0.0)
        return result

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments; of the encoders, their towers."""
        return {
            **super().get_config(),
            **tower_configs(self.towers),
            **dataclasses.asdict(self.objective),
            "tasks": [str(task) for task in self.tasks],
            "bank_size": self.bank_size,
            "bank_start": self.bank_start,
            "momentum": keras.saving.serialize_keras_object(self.momentum),
            "temperature_init": self.temperature_init,
            "temperature_bounds": list(self.temperature_bounds),
        }
