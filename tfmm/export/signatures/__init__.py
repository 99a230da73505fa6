"""What a served ranker answers: one file a signature."""

from collections.abc import Callable, Iterable, Sequence

from tfmm.errors import TfmmError
from tfmm.export.signatures.base import Example, Served, Signature
from tfmm.export.signatures.explain import Explain
from tfmm.export.signatures.rank import Rank
from tfmm.export.signatures.rank_examples import RankExamples
from tfmm.export.signatures.rank_flat import RankFlat
from tfmm.export.signatures.rank_rows import RankRows
from tfmm.export.signatures.rank_with_vectors import RankWithVectors
from tfmm.export.signatures.similar_items import SimilarItems

SIMILAR = "similar_items"


def _similar(served: Served) -> list[Signature]:
    """One of each modality; the first has the plain name."""
    names = list(getattr(served.ranker, "vectors", {}))
    if not names:
        raise TfmmError(
            f"`{SIMILAR}` compares vectors. Received: a ranker without any. Export "
            "without this signature."
        )
    return [
        SimilarItems(served, f"{SIMILAR}_{name}" if place else SIMILAR, name)
        for place, name in enumerate(names)
    ]


def _one(kind: Callable[[Served], Signature]) -> Callable[[Served], list[Signature]]:
    return lambda served: [kind(served)]


OPTIONAL = {
    **{
        kind.name: _one(kind)
        for kind in (RankFlat, RankExamples, RankRows, RankWithVectors, Explain)
    },
    SIMILAR: _similar,
}


def make_signatures(served: Served, names: Iterable[str] = ()) -> Sequence[Signature]:
    """`rank` and the signatures named.

    Args:
        served: What they work with.
        names: Of `OPTIONAL`; `rank` may be among them.

    Raises:
        TfmmError: If there is no such signature, or the ranker has not what it needs.
    """
    names = dict.fromkeys(name for name in names if name != Rank.name)
    unknown = [name for name in names if name not in OPTIONAL]
    if unknown:
        raise TfmmError(
            f"There is no such signature. Received: {unknown}. Expected some of: "
            f"{list(OPTIONAL)}; `{Rank.name}` is always there."
        )
    found: list[Signature] = [Rank(served)]
    for name in names:
        found += OPTIONAL[name](served)
    return found


__all__ = ["OPTIONAL", "Example", "Served", "Signature", "make_signatures"]
