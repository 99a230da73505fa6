"""What a ranker refuses when it is made."""

from collections.abc import Sequence
from typing import Any

from tfmm.errors import TfmmError
from tfmm.ranking.interests import MakeInterest
from tfmm.ranking.request_model import Batch, check_batch
from tfmm.ranking.shapes import RankerShapes, example_batch
from tfmm.records.spec import RequestSpec


def check_options(
    spec: RequestSpec,
    labels: Sequence[str],
    position: bool,
    offset: str | None,
    recent: int | None,
) -> None:
    """Refuses options that the requests do not have the columns for.

    Args:
        spec: Names and sizes of a request.
        labels: Labels to train on.
        position: Whether positions are an input.
        offset: Name of the offset's column, or None.
        recent: Newest history items kept, or None.

    Raises:
        TfmmError: At the first that does not fit.
    """
    unknown = [label for label in labels if label not in spec.labels]
    if unknown or len(set(labels)) != len(labels):
        raise TfmmError(
            "These are not labels of the requests. Received: "
            f"labels={list(labels)}, requests with {list(spec.labels)}. Name each of "
            "these once, in a list."
        )
    if position and not spec.position:
        raise TfmmError(
            "Requests carry no positions. Received: position=True. Name the column "
            "with `impressions.position` in the schema and run the road again."
        )
    if offset not in (None, "base_score") or (offset and not spec.base_score):
        raise TfmmError(
            "The offset is the logged score of another model, `base_score`. Received: "
            f"offset={offset!r}, requests "
            f"{'with' if spec.base_score else 'without'} base scores. Name the column "
            "with `impressions.base_score` in the schema."
        )
    if recent is not None and recent < 1:
        raise TfmmError(
            f"Interests need some history. Received: recent={recent}. Give at least 1, "
            "or None for all of it."
        )


def check_interest(interest: Any, shapes: RankerShapes) -> None:
    """Refuses an interest that the ranker's vectors do not serve.

    Args:
        interest: The layer.
        shapes: The ranker's shapes.

    Raises:
        TfmmError: It needs vectors and there are none, or it is, or a search asks, a
            MAKE of another catalog or other modalities.
    """
    vectors = shapes.vectors
    if getattr(interest, "needs_vectors", False) and not vectors.modalities:
        raise TfmmError(
            "This interest needs vectors of items. Received: "
            f"{type(interest).__name__} without a catalog. Give catalog=."
        )
    for inner in getattr(interest, "interests", ()):
        check_interest(inner, shapes)
    if not isinstance(interest, MakeInterest):
        return
    missing = [name for name in interest.names if name not in vectors.modalities]
    if missing:
        raise TfmmError(
            "MAKE was trained on modalities that the ranker does not use. Received: "
            f"{missing}, ranker with {list(vectors.modalities)}. "
            "Use the same catalog and modalities for both."
        )
    if interest.fingerprint not in (None, vectors.fingerprint):
        raise TfmmError(
            "MAKE was trained on another catalog's vectors. Received: fingerprint "
            f"{interest.fingerprint}, the ranker's catalog has {vectors.fingerprint}. "
            "Train MAKE again on this catalog."
        )


def check_request(batch: Batch, ranker: Any, training: bool | None) -> None:
    """Refuses a batch that lacks what a ranker reads.

    Args:
        batch: The request batch.
        ranker: A `RankingModel`.
        training: Whether positions are read, where the ranker has them.

    Raises:
        TfmmError: A key is missing.
    """
    left_out = {f"label_{label}" for label in ranker.spec.labels}
    left_out |= set() if ranker.needs_base_score else {"base_score"}
    left_out |= set() if ranker.position and training else {"position"}
    needed = tuple(key for key in example_batch(ranker.spec) if key not in left_out)
    check_batch(batch, needed, "the ranker")
