"""Request features to network inputs."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfmm.layers.embedding import Embedding
from tfmm.records.spec import Feature


def squash(numbers: Any) -> Any:
    """Numbers of any size to inputs of moderate size: `sign(x) log(1 + |x|)`.

    Needs no statistics, so nothing can go stale or leak. A missing number is 0, as in
    the records, or NaN.

    Args:
        numbers: float tensor of any shape.

    Returns:
        float32 tensor of the same shape, finite where the input is not infinite.

    Example:
        >>> inputs = squash([0.0, float("nan"), -1.0])
        >>> ops.convert_to_numpy(inputs).round(2).tolist()
        [0.0, 0.0, -0.6899999976158142]
    """
    numbers = ops.cast(numbers, "float32")
    numbers = ops.where(ops.isnan(numbers), 0.0, numbers)
    return ops.sign(numbers) * ops.log1p(ops.abs(numbers))


class FeatureInputs(keras.layers.Layer):
    """Embeds the categorical features of a batch and squashes the numeric ones.

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
        self.numeric = [f.tensor for f in self.features if f.kind == "numeric"]
        for embedding in self.embeddings.values():
            embedding.build()
        self.built = True

    def call(self, values: Mapping[str, Any]) -> list[Any]:
        inputs = [embed(values[name]) for name, embed in self.embeddings.items()]
        if self.numeric:
            numbers = ops.stack([values[name] for name in self.numeric], axis=-1)
            inputs.append(ops.cast(squash(numbers), self.compute_dtype))
        return inputs

    def select(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The features' tensors of a batch."""
        return {f.tensor: batch[f.tensor] for f in self.features}
