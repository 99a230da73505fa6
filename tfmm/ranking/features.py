"""Request features to network inputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

from tfmm.layers.base import Layer
from tfmm.layers.embedding import Embedding
from tfmm.records.spec import Feature

LIMIT = 4.0


def standardise(numbers: Any, features: Sequence[Feature]) -> Any:
    """Numeric features as a network likes them: around 0, of spread 1, bounded.

    With `s(x) = sign(x) log(1 + |x|)`, an input is `(s(x) - mean) / deviation`, mean
    and deviation being those of `s(x)` in training, clipped to -4 to 4. A missing
    number is 0, as in the records, or NaN, which becomes the mean.

    Args:
        numbers: float `[..., G]`.
        features: The G numeric features, in order.

    Returns:
        float32 `[..., G]`, finite.

    Example:
        >>> price = Feature("price", "numeric", "item", 0, mean=1.0, deviation=0.5)
        >>> inputs = standardise([[0.0], [float("nan")], [1e9]], [price])
        >>> ops.convert_to_numpy(inputs).tolist()
        [[-2.0], [0.0], [4.0]]
    """
    numbers = ops.cast(numbers, "float32")
    squashed = ops.sign(numbers) * ops.log1p(ops.abs(numbers))
    mean = np.array([feature.mean for feature in features], np.float32)
    deviation = np.array([feature.deviation for feature in features], np.float32)
    inputs = (squashed - mean) / deviation
    return ops.clip(ops.where(ops.isnan(inputs), 0.0, inputs), -LIMIT, LIMIT)


class FeatureInputs(Layer):
    """Embeds the categorical features of a batch, standardises the numeric ones.

    Args:
        features: The features, in order.
        embedding_dim: int. Dimension of each categorical feature's embedding.

    Input:
        dict by `Feature.tensor`: int32 codes or float32 numbers, all of one shape.

    Output:
        list of float tensors `[*shape, k]`; empty without features.
    """

    def __init__(
        self, features: Sequence[Feature], embedding_dim: int, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.features = tuple(features)
        self.embeddings = {
            feature.tensor: Embedding(
                feature.size, embedding_dim, dtype=self.dtype_policy
            )
            for feature in self.features
            if feature.kind == "categorical"
        }
        self.numeric = [f for f in self.features if f.kind == "numeric"]
        for embedding in self.embeddings.values():
            embedding.build()
        self.built = True

    def call(self, values: Mapping[str, Any]) -> list[Any]:
        inputs = [embed(values[name]) for name, embed in self.embeddings.items()]
        if self.numeric:
            numbers = ops.stack([values[f.tensor] for f in self.numeric], axis=-1)
            inputs.append(
                ops.cast(standardise(numbers, self.numeric), self.compute_dtype)
            )
        return inputs

    def select(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The features' tensors of a batch."""
        return {f.tensor: batch[f.tensor] for f in self.features}
