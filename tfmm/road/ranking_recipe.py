"""The recipe's part on the rankers: which to train, and how."""

from collections.abc import Iterator
from typing import Any, Literal

from pydantic import model_validator

from tfmm.road.pretrain_recipe import Positive, Rate
from tfmm.schema import Part

Interest = str | dict[str, dict[str, Any] | None]

VARIANTS: dict[str, list[Interest]] = {
    "id_only": ["din"],
    "vector": ["vector"],
    "simscore": ["simscore"],
    "simtier": ["din", "simtier"],
    "make": ["din", "make"],
    "simtier_make": ["din", "simtier", "make"],
    "muse": ["din", "simtier", {"history_search": None}],
}
INTERESTS = (
    *("din", "vector", "simscore", "simtier", "make"),
    *("semantic_attention", "history_search"),
)
USUAL = ("id_only", "simtier", "make", "simtier_make")


class Ranking(Part):
    """The rankers and their training; see `tfmm.ranking.RankingModel`.

    Args:
        variants: Names of `VARIANTS`, or a mapping from names to interests, each a
            name or `{name: options}`; nothing stands for the variant of that name.
        baseline: The variant that gains refer to.
        published: The variant that is exported.
        embedding_dim: Dimension of the ID embeddings.
        hidden: Units of the tower's hidden layers.
        cross_layers: Cross layers beside the tower.
        recent: Newest history items that all but a history search see.
        labels: Labels to train on, a head for each; the schema's first when absent.
        position: Whether the place in the list is an input in training.
        offset: `base_score` to start from the production model's logged score.
        calibrate: Whether the logits get a scale and a shift by Platt scaling on the
            validation requests, where the schema's split has some.
        epochs: ID embeddings overfit in the second.
        batch_size: Requests per step.
        learning_rate: Of the lazy Adam.
        schedule: `cosine` with the rate as its peak, or `constant`.
        rates: Part -> multiple of the rate, such as `{embeddings: 10}`.
        weight_decay: Of dense weights, decoupled.
        reported: Variant -> the GAUC that others report for it, shown beside.
    """

    variants: dict[str, list[Interest]] = {name: VARIANTS[name] for name in USUAL}
    baseline: str = "id_only"
    published: str = "simtier_make"
    embedding_dim: Positive = 16
    hidden: list[Positive] = [128, 64]
    cross_layers: int = 0
    recent: Positive | None = None
    labels: list[str] | None = None
    position: bool = False
    offset: Literal["base_score"] | None = None
    calibrate: bool = False
    epochs: Positive = 1
    batch_size: Positive = 256
    learning_rate: Rate = 1e-3
    schedule: Literal["cosine", "constant"] = "cosine"
    rates: dict[str, float] = {}
    weight_decay: float | None = None
    reported: dict[str, float] = {}

    @model_validator(mode="before")
    @classmethod
    def _named_variants(cls, given: Any) -> Any:
        if not isinstance(given, dict) or "variants" not in given:
            return given
        wanted = given["variants"]
        if isinstance(wanted, list):
            wanted = dict.fromkeys(wanted)
        return {**given, "variants": _filled(wanted)}

    @model_validator(mode="after")
    def _known_variants(self) -> "Ranking":
        for role in ("baseline", "published"):
            name = getattr(self, role)
            if name not in self.variants:
                raise ValueError(
                    f"{role} is {name!r}, but variants are {', '.join(self.variants)}"
                )
        if unknown := [name for name in self.reported if name not in self.variants]:
            raise ValueError(
                f"reported has {', '.join(unknown)}, but variants are "
                f"{', '.join(self.variants)}"
            )
        return self

    @model_validator(mode="after")
    def _known_interests(self) -> "Ranking":
        for variant, interests in self.variants.items():
            for interest in interests:
                names = [interest] if isinstance(interest, str) else list(interest)
                if len(names) != 1 or names[0] not in INTERESTS:
                    raise ValueError(
                        f"variants.{variant} has {interest!r}; an interest is one of "
                        f"{', '.join(INTERESTS)}, alone or as {{name: options}}"
                    )
        return self

    @property
    def uses_make(self) -> bool:
        """Whether any variant reads MAKE."""
        return any(
            name == "make"
            for interests in self.variants.values()
            for name in names_of(interests)
        )


def names_of(interests: list[Interest]) -> Iterator[str]:
    """The interests' names, without options.

    Example:
        >>> list(names_of(["din", {"simtier": {"tiers": 10}}]))
        ['din', 'simtier']
    """
    for interest in interests:
        yield interest if isinstance(interest, str) else next(iter(interest))


def _filled(wanted: dict[str, Any]) -> dict[str, Any]:
    unknown = [name for name, of in wanted.items() if not of and name not in VARIANTS]
    if unknown:
        raise ValueError(
            f"variants {', '.join(unknown)} have no interests; the ones known by name "
            f"are {', '.join(VARIANTS)}"
        )
    return {name: of or VARIANTS[name] for name, of in wanted.items()}
