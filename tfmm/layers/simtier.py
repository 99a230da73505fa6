"""SimTier: a histogram of the similarities between a candidate and the history."""

from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError

SCALINGS = ("counts", "log1p", "log1p_weighted")


def tier_of(similarity: Any, tiers: int) -> Any:
    """Tier of each similarity: `clip(ceil((s + 1) / 2 * N) - 1, 0, N - 1)`.

    [-1, 1] is cut into N equal tiers, open on the left; the clip puts s = -1 into the
    first and a cosine rounded above 1 into the last. (Algorithm 1 as printed in arXiv
    2407.19467 never counts the last tier.)

    Args:
        similarity: float tensor of any shape.
        tiers: int. N.

    Returns:
        int32 tensor of the same shape.

    Example:
        >>> ops.convert_to_numpy(tier_of([-1.0, 0.0, 1.0], 20)).tolist()
        [0, 9, 19]
    """
    similarity = ops.convert_to_tensor(similarity)
    tier = ops.ceil((similarity + 1.0) * (tiers / 2)) - 1.0
    return ops.cast(ops.clip(tier, 0, tiers - 1), "int32")


def sim_tier(similarity: Any, mask: Any, tiers: int = 20) -> Any:
    """Counts of the valid similarities per tier (Algorithm 1, arXiv 2407.19467).

    Args:
        similarity: float tensor `[..., L]`.
        mask: bool tensor `[..., L]`.
        tiers: int. N. Defaults to 20.

    Returns:
        float32 tensor `[..., N]`; its sum is the number of valid positions.

    Example:
        >>> counts = sim_tier([[-1.0, 0.9, 0.95]], [[True, True, False]], tiers=2)
        >>> ops.convert_to_numpy(counts).tolist()
        [[1.0, 1.0]]
    """
    tier = ops.where(ops.convert_to_tensor(mask), tier_of(similarity, tiers), tiers)
    # The extra class collects what is masked; one_hot of -1 differs by backend.
    slots = ops.one_hot(tier, tiers + 1, dtype="float32")
    return ops.sum(slots, axis=-2)[..., :tiers]


@keras.saving.register_keras_serializable(package="tfmm")
class SimTier(keras.layers.Layer):
    """Turns the similarities of a candidate with a history into N tier counts.

    No gradient flows through the counts and, unless weighted, nothing is learned.

    Args:
        tiers: int. Number of tiers N over [-1, 1]. Defaults to 20 (width 0.1).
        scaling: `"counts"` as in the paper, `"log1p"` for log(1 + count), or
            `"log1p_weighted"` for log(1 + count) times a learned weight per tier.

    Input shape:
        similarity float `[..., L]`, mask bool `[..., L]`.

    Output shape:
        float32 `[..., N]`.

    Reference:
        Algorithm 1 of arXiv 2407.19467.

    Example:
        >>> similarity = ops.array([[0.9, 0.8, -0.9]])
        >>> counts = SimTier(tiers=4)(similarity, ops.ones((1, 3), "bool"))
        >>> ops.convert_to_numpy(counts).tolist()
        [[1.0, 0.0, 0.0, 2.0]]
    """

    def __init__(self, tiers: int = 20, scaling: str = "counts", **kwargs: Any) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        if tiers < 1:
            raise TfmmError(
                f"SimTier needs at least one tier. Received: tiers={tiers}. "
                "Give a positive number, for example 20."
            )
        if scaling not in SCALINGS:
            raise TfmmError(
                f"SimTier does not know this scaling. Received: scaling={scaling!r}. "
                f"Choose one of {', '.join(SCALINGS)}."
            )
        self.tiers = tiers
        self.scaling = scaling

    def build(self, similarity_shape: Any = None, mask_shape: Any = None) -> None:
        if self.scaling == "log1p_weighted":
            self.tier_weights = self.add_weight(
                shape=(self.tiers,), initializer="ones", name="tier_weights"
            )
        self.built = True

    def call(self, similarity: Any, mask: Any) -> Any:
        counts = sim_tier(ops.stop_gradient(similarity), mask, self.tiers)
        if self.scaling == "counts":
            return counts
        logs = ops.log1p(counts)
        return logs if self.scaling == "log1p" else logs * self.tier_weights

    def compute_output_shape(
        self, similarity_shape: tuple[int | None, ...], mask_shape: Any = None
    ) -> tuple[int | None, ...]:
        return (*similarity_shape[:-1], self.tiers)

    def get_config(self) -> dict[str, Any]:
        config = {**super().get_config(), "tiers": self.tiers}
        return {**config, "scaling": self.scaling}
