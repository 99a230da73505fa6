"""What towers need to know of any Keras model: what it takes, and what it gives."""

from typing import Any

import keras

from tfmm.encoders.layers import MaskedMean
from tfmm.errors import TfmmError

TOKEN_INPUTS = ("token_ids", "padding_mask", "segment_ids")


def picture_input(backbone: keras.Model, image_size: int | None) -> tuple[int, str]:
    """Side and dtype of the pictures that a model takes.

    Args:
        backbone: A built Keras model of one input `[B, S, S, 3]`.
        image_size: Side S; may be `None` where the model fixes it.

    Raises:
        TfmmError: If the model takes anything else, or the side is open or another.
    """
    found = list(_inputs(backbone).values())
    shape = tuple(found[0].shape[1:]) if len(found) == 1 else ()
    if len(shape) != 3 or shape[2] != 3 or shape[0] != shape[1]:
        raise TfmmError(
            "A picture backbone takes one batch of square RGB pictures [B, S, S, 3]. "
            f"Received: {_shapes(backbone)}. Give the model such an input, e.g. "
            "keras.Input((64, 64, 3))."
        )
    side = shape[0] or image_size
    if side is None:
        raise TfmmError(
            "The model leaves its pictures' size open. Received: image_size=None and "
            f"{_shapes(backbone)}. Give `image_size`, such as 64."
        )
    if image_size not in (None, side):
        raise TfmmError(
            f"The model takes pictures of one size. Expected: {side}. Received: "
            f"image_size={image_size}. Leave `image_size` out."
        )
    return side, found[0].dtype


def token_inputs(backbone: keras.Model, sequence_length: int) -> list[str]:
    """Which of `token_ids`, `padding_mask` and `segment_ids` a model takes.

    Args:
        backbone: A built Keras model of token ids `[B, T]`, alone or by these names.
        sequence_length: Tokens T.

    Raises:
        TfmmError: If the model takes anything else, or another length.
    """
    found = _inputs(backbone)
    named = isinstance(_structure(backbone), dict)
    names = sorted(found) if named else ["token_ids"]
    fits = len(found) == len(names) and all(len(x.shape) == 2 for x in found.values())
    if not fits or "token_ids" not in names or set(names) - set(TOKEN_INPUTS):
        raise TfmmError(
            "A text backbone takes token ids int32 [B, T], alone or in a dict as "
            f"token_ids with padding_mask and segment_ids. Received: "
            f"{_shapes(backbone)}. Use an encoder such as BertBackbone, or a model of "
            'keras.Input((None,), dtype="int32").'
        )
    lengths = {x.shape[1] for x in found.values()} - {None}
    if lengths - {sequence_length}:
        raise TfmmError(
            f"The model takes titles of {sorted(lengths)[0]} tokens. Received: "
            f"sequence_length={sequence_length}. Make them equal."
        )
    return names


def call_backbone(backbone: keras.Model, features: dict[str, Any]) -> Any:
    """A model's output: for the features that it names, or for the only one.

    Args:
        backbone: A built Keras model.
        features: Its inputs by name; a model of one unnamed input takes the first.
    """
    wanted = _structure(backbone)
    if not isinstance(wanted, dict):
        return backbone(next(iter(features.values())))
    if len(wanted) == 1:
        return backbone({next(iter(wanted)): next(iter(features.values()))})
    return backbone({name: features[name] for name in wanted})


def pooled(found: Any, mask: Any = None) -> Any:
    """Vectors `[B, c]` from a map, a sequence, or vectors; means over positions.

    Raises:
        TfmmError: If it is none of these, or several tensors.
    """
    rank = len(found.shape) if keras.backend.is_keras_tensor(found) else 0
    if rank == 2:
        return found
    if rank == 3 and mask is not None:
        return MaskedMean(name="pooling")(found, mask)
    if rank == 3:
        return keras.layers.GlobalAveragePooling1D(name="pooling")(found)
    if rank == 4 and mask is None:
        return keras.layers.GlobalAveragePooling2D(name="pooling")(found)
    received = keras.tree.map_structure(lambda x: tuple(x.shape), found)
    raise TfmmError(
        "A backbone gives vectors [B, c], a sequence [B, n, c] or (of pictures) a map "
        f"[B, h, w, c]. Received: {received}. Wrap it in a keras.Model of one output."
    )


def unit_head(x: Any, dimension: int | None) -> Any:
    """Projection to `dimension` (left out if `None`) and division by the length."""
    if dimension is not None:
        x = keras.layers.Dense(dimension, name="projection")(x)
    return keras.layers.UnitNormalization(dtype="float32", name="vector")(x)


def _inputs(backbone: keras.Model) -> dict[str, Any]:
    tensors = _structure(backbone)
    if isinstance(tensors, dict):
        return dict(tensors)
    tensors = tensors if isinstance(tensors, list | tuple) else [tensors]
    return {x.name: x for x in tensors}


def _structure(backbone: keras.Model) -> Any:
    """The model's symbolic inputs: a tensor, or a list or dict of them."""
    try:
        if isinstance(backbone, keras.Sequential):
            return backbone.inputs[0]
        return backbone.input
    except (AttributeError, TypeError, ValueError):  # Keras: "never been called".
        raise TfmmError(
            "A backbone is a Keras model that knows its input. Received: "
            f"{type(backbone).__name__} {getattr(backbone, 'name', '')!r}, not built "
            "on a keras.Input. Build it as keras.Model(inputs, outputs), or a "
            "Sequential that starts with keras.Input."
        ) from None


def _shapes(backbone: keras.Model) -> dict[str, tuple]:
    return {name: tuple(x.shape) for name, x in _inputs(backbone).items()}
