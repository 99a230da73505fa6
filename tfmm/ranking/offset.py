"""Another model's score as a starting point."""

from typing import Any

import numpy as np
from keras import ops

from tfmm.errors import TfmmError

SMALLEST = 1e-6


def base_logit(score: Any, mask: Any) -> Any:
    """Logit of a logged probability, bounded; 0 outside the mask and where unknown.

    With it as an offset, `logit = base_logit + f(interests)`, a model learns only what
    the logged model does not know, and its gain over that model needs none of that
    model's features.

    Args:
        score: float tensor `[B, N]`, probabilities; NaN where there is none.
        mask: bool tensor `[B, N]`.

    Returns:
        float32 tensor `[B, N]`, between -13.8 and 13.8.

    Example:
        >>> logits = base_logit([[0.5, 0.0, 7.0]], [[True, True, False]])
        >>> ops.convert_to_numpy(logits).round(1).tolist()
        [[0.0, -13.800000190734863, 0.0]]
    """
    score = ops.cast(score, "float32")
    known = ops.logical_and(
        ops.convert_to_tensor(mask), ops.logical_not(ops.isnan(score))
    )
    score = ops.where(known, score, 0.5)
    score = ops.clip(score, SMALLEST, 1.0 - SMALLEST)
    return ops.log(score) - ops.log1p(-score)


def check_probabilities(score: Any) -> None:
    """Refuses logged scores that are no probabilities: they would be cut to 0 and 1.

    Args:
        score: array of logged scores.

    Raises:
        TfmmError: One of them is below 0 or above 1.

    Example:
        >>> check_probabilities([0.0, 0.25])
    """
    score = np.asarray(score)
    if (score < 0).any() or (score > 1).any():
        raise TfmmError(
            "An offset needs logged probabilities. Received: `base_score` from "
            f"{np.nanmin(score):.4g} to {np.nanmax(score):.4g}. Log the model's "
            "probabilities, such as the sigmoid of its logits, or train without the "
            "offset."
        )
