"""Checks of Keras models that become towers."""

import keras
import numpy as np

from tfmm.errors import TfmmError


def check_copies(model: keras.Model) -> None:
    """Raises `TfmmError` unless a model can be built again from its configuration.

    Momentum copies and saved encoders are built that way.

    Args:
        model: The person's model.
    """
    try:
        again = type(model).from_config(model.get_config())
        same = [w.shape for w in again.weights] == [w.shape for w in model.weights]
        why = "other weights come of it"
    except Exception as error:  # Whatever a person's class may raise.
        same, why = False, f"{type(error).__name__}: {str(error).splitlines()[0]}"
    if not same:
        raise TfmmError(
            "A model for a tower must be built again by `from_config(get_config())`. "
            f"Received: {type(model).__name__} {model.name!r} ({why}). Use a "
            "functional model, or write `get_config` and register the class with "
            "keras.saving.register_keras_serializable."
        )


def check_length(tower: keras.Model, pad_id: int) -> None:
    """Raises `TfmmError` if a text tower has no positions for titles of its length.

    Args:
        tower: From int32 `[B, T]`.
        pad_id: The id that fills.
    """
    length = tower.input_shape[1]
    layers = tower._flatten_layers()
    found = {getattr(layer, "sequence_length", None) for layer in layers}
    limit = min((x for x in found if isinstance(x, int)), default=None)
    fits, cause = limit is None or length <= limit, None
    try:
        _ = fits and tower(np.full((1, length), pad_id, np.int32), training=False)
    except Exception as error:  # Its type depends on the layer and the backend.
        fits, cause = False, error
    if not fits:
        # SigLIP's positions are added whole, to titles of their length alone.
        most = f"{'at most' if length > (limit or 0) else 'exactly'} {limit} tokens"
        expected = most if limit else "what its position embedding was built for"
        told = f" ({str(cause).splitlines()[0]})" if cause and str(cause) else ""
        raise TfmmError(
            "The model cannot read titles of this length. Expected: "
            f"{expected}. Received: sequence_length={length}{told}. Give another "
            "`sequence_length`, or leave it out."
        ) from cause


def check_vocabulary(tower: keras.Model, size: int) -> None:
    """Raises `TfmmError` if a text tower has no embedding for the last token id.

    Args:
        tower: From int32 `[B, T]`.
        size: Number of token ids.
    """
    ids = np.full((1, tower.input_shape[1]), size - 1, np.int32)
    tables = [
        layer.input_dim
        for layer in tower._flatten_layers()
        if isinstance(layer, keras.layers.Embedding)
    ]
    try:
        fits = not tables or max(tables) >= size
        _ = fits and tower(ids, training=False)
    except Exception:  # A lookup out of range; its type depends on the backend.
        fits = False
    if not fits:
        raise TfmmError(
            "The model's embedding is too small for its vocabulary. Expected: at "
            f"least {size} rows, one per piece. Received: embeddings of {tables} "
            "rows. Build the model for `len(vocabulary)` tokens."
        )
