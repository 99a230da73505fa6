"""What every signature of a served ranker is."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export.border import Arrays, HasValues, to_batch
from tfmm.export.border_ops import Border
from tfmm.export.inputs import Input, signature_inputs
from tfmm.ranking import RankingModel
from tfmm.records.index import ItemIndex
from tfmm.records.spec import RequestSpec


@dataclass(frozen=True)
class Served:
    """What signatures work with.

    Args:
        ranker: The Keras model.
        index: The item index it was trained with.
        vocabularies: The vocabularies it was trained with.
        border: The border as graph operations.
    """

    ranker: Any
    index: ItemIndex
    vocabularies: HasValues
    border: Border

    @property
    def spec(self) -> RequestSpec:
        """Names and sizes of the requests."""
        return self.ranker.spec

    @property
    def needs_base_score(self) -> bool:
        """Whether requests carry a `base_score`."""
        return bool(getattr(self.ranker, "needs_base_score", False))

    def inputs(self) -> tuple[Input, ...]:
        """The inputs of `rank`."""
        return signature_inputs(self.spec, self.index.id_type, self.needs_base_score)

    def batch(self, request: Arrays) -> dict[str, np.ndarray]:
        """The ranker's batch of a request of `rank`, in numpy."""
        return to_batch(request, self.spec, self.index, self.vocabularies)


@dataclass(frozen=True)
class Example:
    """A request of `rank`, twice.

    Args:
        request: As `rank` takes it.
        batch: As the ranker takes it.
    """

    request: Arrays
    batch: Arrays


class Signature(ABC):
    """One signature: a function of named tensors, and what it must answer.

    Args:
        served: What it works with.

    Raises:
        TfmmError: If the ranker is not one that it can serve.
    """

    name: str
    needs_ranking_model = False

    def __init__(self, served: Served) -> None:
        if self.needs_ranking_model and not isinstance(served.ranker, RankingModel):
            raise TfmmError(
                f"The signature `{self.name}` looks into a ranker. Expected: a "
                f"tfmm.RankingModel. Received: {type(served.ranker).__name__}. Export "
                "without this signature."
            )
        self.served = served

    @cached_property
    @abstractmethod
    def inputs(self) -> tuple[Input, ...]:
        """Its inputs."""

    @abstractmethod
    def __call__(self, **tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        """The graph: outputs by name."""

    @abstractmethod
    def given(self, example: Example) -> dict[str, np.ndarray]:
        """An example as this signature takes it."""

    @abstractmethod
    def answer(self, example: Example) -> dict[str, np.ndarray]:
        """What the model in memory gives for it; outputs may be left out."""

    def function(self) -> Any:
        """The concrete function to save."""
        specs = {
            i.name: tf.TensorSpec(i.shape, tf.as_dtype(i.dtype), name=i.name)
            for i in self.inputs
        }
        return tf.function(self._call, autograph=False).get_concrete_function(**specs)

    def _call(self, **tensors: tf.Tensor) -> dict[str, tf.Tensor]:
        return self(**tensors)


def renamed(inputs: tuple[Input, ...], names: dict[str, Input]) -> tuple[Input, ...]:
    """The inputs with some of them replaced."""
    return tuple(names.get(i.name, i) for i in inputs)
