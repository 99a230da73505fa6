"""A ranker's output by label, be it one head or several."""

from collections.abc import Mapping, Sequence
from typing import Any


def split_heads(logits: Any, labels: Sequence[str]) -> Any:
    """The logits of a single head, or those of several by label.

    Args:
        logits: tensor `[B, N, heads]`.
        labels: The heads' labels.

    Returns:
        tensor `[B, N]`, or a dict of them.
    """
    if len(labels) == 1:
        return logits[..., 0]
    return {label: logits[..., place] for place, label in enumerate(labels)}


def by_label(model: Any, output: Any) -> dict[str, Any]:
    """Logits by label, in the order of the model's labels.

    Args:
        model: A ranker with `labels`, or with a `spec` whose first label it predicts.
        output: What it gave: logits `[B, N]`, or a dict of them by label.

    Returns:
        dict of logits `[B, N]`; the first is the main one.

    Example:
        >>> from types import SimpleNamespace
        >>> by_label(SimpleNamespace(labels=("click",)), [[0.5]])
        {'click': [[0.5]]}
    """
    if isinstance(output, Mapping):
        return dict(output)
    labels = getattr(model, "labels", None) or model.spec.labels
    return {labels[0]: output}
