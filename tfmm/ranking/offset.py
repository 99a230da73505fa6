"""Another model's score as a starting point."""

from typing import Any

from keras import ops

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
