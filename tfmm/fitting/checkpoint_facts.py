"""What a training is made of: checkpoints of another one are refused."""

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_MOVE_THE_RATE = (
    keras.callbacks.ReduceLROnPlateau,
    keras.callbacks.LearningRateScheduler,
)
# What of a configuration names layers, or depends on their names.
_NAMES = frozenset(
    ("name", "build_config", "inbound_nodes", "input_layers", "output_layers")
)
_LONGEST = 300


def weights_of(model: keras.Model) -> list[Any]:
    """Weights and states of dropout; without the metrics' sums and constants."""
    others = {id(v) for v in [*model.metrics_variables, *constants_of(model)]}
    return [variable for variable in model.variables if id(variable) not in others]


def constants_of(model: keras.Model) -> list[Any]:
    """What the model declares, in `constants`, never to change in training."""
    return list(getattr(model, "constants", ()))


def made_for(
    model: keras.Model, x: Any, steps: int, callbacks: Sequence[Any] = ()
) -> dict[str, Any]:
    """What must be the same for the numbers to be the same.

    Names are not compared, for Keras numbers them through, nor is what callbacks are
    set to; and a learning rate is not where a callback moves it.

    Args:
        model: A compiled model whose variables exist.
        x: The training batches.
        steps: Batches per epoch.
        callbacks: Those of the fit.
    """
    shapes = [
        (list(variable.shape), str(variable.dtype))
        for variable in [*weights_of(model), *model.optimizer.variables]
    ]
    spec = tf.nest.flatten(x.element_spec)
    optimizer = _unnamed(keras.optimizers.serialize(model.optimizer))
    if any(isinstance(callback, _MOVE_THE_RATE) for callback in callbacks):
        optimizer = _without_rate(optimizer)
    return {
        "model": type(model).__name__,
        "variables": f"{len(shapes)}, digest {_digest(shapes)}",
        **{f"model.{k}": _short(v) for k, v in _unnamed(model.get_config()).items()},
        "constants": _digest([_content(v) for v in constants_of(model)]),
        "optimizer": optimizer,
        "data.batches": steps,
        "data.pairs": getattr(x, "num_pairs", None),
        "data.tensors": _digest([str(tensor) for tensor in spec]),
        **{f"data.{k}": v for k, v in getattr(x, "facts", {}).items()},
    }


def _unnamed(config: Any) -> Any:
    """A configuration as plain types, without the names of layers."""
    if isinstance(config, Mapping):
        if str(config.get("class_name", "")).endswith("DTypePolicy"):
            return config["config"]["name"]
        return {k: _unnamed(v) for k, v in config.items() if k not in _NAMES}
    if isinstance(config, list | tuple):
        return [_unnamed(value) for value in config]
    plain = isinstance(config, str | int | float | None)
    return config if plain else float(np.asarray(config))


def _without_rate(config: Any) -> Any:
    if isinstance(config, Mapping):
        return {k: _without_rate(v) for k, v in config.items() if k != "learning_rate"}
    return config


def _short(value: Any) -> Any:
    """The value, or of a whole tower's configuration a digest."""
    return value if len(json.dumps(value)) <= _LONGEST else f"digest {_digest(value)}"


def _content(variable: Any) -> int:
    """A checksum of the values: tables may be large."""
    flat = np.ascontiguousarray(variable).reshape(-1)
    return zlib.crc32(flat.view(np.uint8).data)


def _digest(parts: Any) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
