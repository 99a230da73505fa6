"""What a ranker's tower reads: a part per request, a part per candidate."""

from collections.abc import Sequence
from typing import Any

from keras import ops

from tfmm.layers.embedding import Embedding
from tfmm.layers.masks import keep_valid, masked_mean
from tfmm.ranking.features import FeatureInputs, standardise
from tfmm.ranking.request_model import Batch
from tfmm.ranking.views import Views
from tfmm.records.spec import RequestSpec


def request_inputs(
    batch: Batch, views: Views, users: Embedding, features: FeatureInputs
) -> Any:
    """User, mean of the history, its length, features of user and context.

    Args:
        batch: A request batch.
        views: What interests see of it.
        users: Embeddings of user codes.
        features: Features of one value a request.

    Returns:
        float `[B, r]`.
    """
    pooled = masked_mean(views.history, views.history_mask)
    length = ops.log1p(ops.cast(batch["n_history"], pooled.dtype))[:, None]
    inputs = [users(batch["user"]), pooled, length, *features(features.select(batch))]
    return ops.concatenate(inputs, axis=-1)


def candidate_inputs(
    batch: Batch,
    views: Views,
    spec: RequestSpec,
    features: FeatureInputs,
) -> list[Any]:
    """Item embeddings and features, which vectors there are.

    Args:
        batch: A request batch.
        views: What interests see of it.
        spec: Names the numeric item features.
        features: Features of one value a candidate.

    Returns:
        list of float `[B, N, k]`.
    """
    mask = views.item_mask
    selected = features.select(batch)
    valid = {name: keep_valid(value, mask) for name, value in selected.items()}
    inputs = [views.items, *features(valid)]
    numeric = [f for f in spec.of_scope("item") if f.kind == "numeric"]
    if numeric:
        inputs.append(standardise(views.item_numbers, numeric))
    return inputs + [views.modality(m).present[..., None] for m in views.modalities]


def interest_inputs(
    interests: Sequence[Any], views: Views, without: Sequence[int] = ()
) -> list[Any]:
    """What the interests say of every candidate.

    Args:
        interests: Layers from views to float `[B, N, k]`.
        views: What they see.
        without: Places of interests that say 0, to see their part.

    Returns:
        list of float `[B, N, k]`, one per interest.
    """
    found = [interest(views=views) for interest in interests]
    return [
        ops.zeros_like(inputs) if place in without else inputs
        for place, inputs in enumerate(found)
    ]
