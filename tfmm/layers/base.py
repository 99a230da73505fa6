"""What all of tfmm's layers and models share: they refuse tf_keras tensors."""

import sys
from collections.abc import Iterable, Mapping
from typing import Any

import keras

from tfmm.errors import TfmmError


def refuse_tf_keras(name: str, inputs: Any) -> None:
    """Refuses symbolic tensors of tf_keras (Keras 2).

    A Keras 3 layer would run on them, but tf_keras would neither see its weights nor
    train or save them, and nobody would be told.

    Args:
        name: The layer's name, for the message.
        inputs: Tensors, or tuples, lists and dicts of them.

    Raises:
        TfmmError: One of them comes from `tf_keras.Input`.

    Example:
        >>> refuse_tf_keras("SimTier", [keras.Input((3,))])
    """
    if "tf_keras" in sys.modules and _any_of_tf_keras(inputs):
        raise TfmmError(
            f"{name} is a Keras 3 layer; tf_keras would not train or save its weights. "
            "Received: a tensor of tf_keras.Input. Build the model with keras.Input "
            "and keras.layers, or call tfmm's stateless functions (tfmm.layers.sim_tier"
            ", tfmm.layers.cosine_similarity) inside a tf_keras layer."
        )


def _any_of_tf_keras(inputs: Any) -> bool:
    if isinstance(inputs, Mapping):
        inputs = inputs.values()
    elif not isinstance(inputs, (tuple, list)):
        return type(inputs).__module__.startswith("tf_keras.")
    parts: Iterable[Any] = inputs
    return any(_any_of_tf_keras(part) for part in parts)


class Keras3Only:
    """To be mixed into a Keras 3 layer or model; see `refuse_tf_keras`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        refuse_tf_keras(type(self).__name__, (args, kwargs))
        return super().__call__(*args, **kwargs)  # type: ignore[misc]


class Layer(Keras3Only, keras.layers.Layer):
    """`keras.layers.Layer` that refuses tensors of tf_keras; base of tfmm's layers.

    Example:
        >>> class Twice(Layer):
        ...     def call(self, x):
        ...         return 2 * x
        >>> float(Twice()(keras.ops.ones(())))
        2.0
    """
