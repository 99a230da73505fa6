"""What a training is made of: checkpoints of another one are refused."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf


def weights_of(model: keras.Model) -> list[Any]:
    """Weights and states of dropout; without the metrics' sums."""
    sums = {id(variable) for variable in model.metrics_variables}
    return [variable for variable in model.variables if id(variable) not in sums]


def made_for(model: keras.Model, x: Any, steps: int) -> dict[str, Any]:
    """What must be the same for the numbers to be the same.

    Args:
        model: A compiled model whose variables exist.
        x: The training batches.
        steps: Batches per epoch.
    """
    shapes = [
        (list(variable.shape), str(variable.dtype))
        for variable in [*weights_of(model), *model.optimizer.variables]
    ]
    spec = tf.nest.flatten(x.element_spec)
    return {
        "model": type(model).__name__,
        "variables": f"{len(shapes)}, digest {_digest(shapes)}",
        **{f"model.{k}": v for k, v in _plain(model.get_config()).items()},
        "optimizer": _unnamed(keras.optimizers.serialize(model.optimizer)),
        "data.batches": steps,
        "data.pairs": getattr(x, "num_pairs", None),
        "data.tensors": _digest([str(tensor) for tensor in spec]),
        **{f"data.{k}": v for k, v in getattr(x, "facts", {}).items()},
    }


def _plain(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that are numbers, texts or lists of them; names are arbitrary."""
    return {
        name: value
        for name, value in config.items()
        if name != "name"
        and all(
            isinstance(part, str | int | float | None)
            for part in (value if isinstance(value, list | tuple) else [value])
        )
    }


def _unnamed(config: Any) -> Any:
    """A configuration without the names that Keras numbers through."""
    if isinstance(config, Mapping):
        return {k: _unnamed(v) for k, v in config.items() if k != "name"}
    if isinstance(config, list | tuple):
        return [_unnamed(value) for value in config]
    plain = isinstance(config, str | int | float | None)
    return config if plain else float(np.asarray(config))


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
