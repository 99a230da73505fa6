"""keras-hub presets: one tower's backbone, its tokenizer, its scaling of pixels."""

from pathlib import Path
from typing import Any

import keras
import keras_hub

from tfmm.errors import TfmmError

PICTURE_SIDE = 64


def open_preset(kind: Any, preset: str | Path) -> Any:
    """A preset's backbone or tokenizer.

    Args:
        kind: `keras_hub.models.Backbone` or `keras_hub.tokenizers.Tokenizer`.
        preset: A folder that `save_to_preset` wrote, or a hub's name.

    Raises:
        TfmmError: If it cannot be opened as that.
    """
    try:
        return kind.from_preset(str(preset))
    except (ValueError, OSError) as error:
        raise TfmmError(
            f"The preset cannot be opened as a {kind.__name__}. Received: {preset} "
            f"({str(error).splitlines()[0]}). Give a folder that `save_to_preset` "
            "wrote, or a name from the keras-hub page of pretrained models."
        ) from error


def image_half(backbone: keras.Model) -> keras.Model:
    """The picture tower of CLIP or SigLIP, up to its embedding; others as they are."""
    if not hasattr(backbone, "get_vision_embeddings"):
        return backbone
    pixels = keras.Input(backbone.vision_encoder.image_shape, name="images")
    vector = backbone.get_vision_embeddings(pixels)
    return keras.Model({"images": pixels}, vector, name="vision_half")


def text_half(backbone: keras.Model) -> keras.Model:
    """The text tower of CLIP or SigLIP, up to its embedding; others as they are."""
    if not hasattr(backbone, "get_text_embeddings"):
        return backbone
    tokens = keras.Input((None,), dtype="int32", name="token_ids")
    vector = backbone.get_text_embeddings(tokens)
    return keras.Model({"token_ids": tokens}, vector, name="text_half")


def own_length(backbone: keras.Model) -> int | None:
    """Tokens of a title where a backbone reads its vector off the last one.

    SigLIP's text tower does, so that its titles are always filled to the length it was
    trained with; of other backbones `None`.
    """
    if isinstance(backbone, keras_hub.models.SigLIPBackbone):
        return backbone.text_encoder.max_sequence_length
    return None


def preset_converter(preset: str | Path) -> Any:
    """A preset's image converter; one that says nothing where it has none.

    Example:
        >>> preset_converter("/nowhere").image_size is None
        True
    """
    try:
        return keras_hub.layers.ImageConverter.from_preset(str(preset))
    except (ValueError, FileNotFoundError):  # The preset has no image converter.
        return keras_hub.layers.ImageConverter(scale=1 / 127.5, offset=-1.0)


def scaling(converter: Any) -> dict[str, Any]:
    """`scale` and `offset` of an image converter."""
    scale = 1.0 if converter.scale is None else converter.scale
    offset = 0.0 if converter.offset is None else converter.offset
    return {"scale": _plain(scale), "offset": _plain(offset)}


def open_side(backbone: keras.Model, converter: Any) -> int | None:
    """Side of the pictures where a backbone leaves it open; `None` where it does not.

    The image converter's, if that is square, else 64.
    """
    shape = keras.tree.flatten(backbone.input)[0].shape
    if len(shape) != 4 or shape[1] is not None:
        return None
    sides = set(converter.image_size or ())
    return sides.pop() if len(sides) == 1 else PICTURE_SIDE


def _plain(value: Any) -> Any:
    return [float(v) for v in value] if hasattr(value, "__len__") else float(value)
