"""SimTier: a histogram of the similarities between a candidate and the history."""

import math
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer

SCALINGS = ("counts", "log1p", "log1p_weighted")
FORMS = ("paper", "muse")


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


def slot_of(similarity: Any, tiers: int) -> Any:
    """MUSE's slot of each similarity: `clip(ceil(s N / 2) + N / 2, 1, N)`.

    The N equal tiers are slots 1 to N. MUSE's code has slot 0 for s = -1 alone and slot
    N + 1 for what rounding put above 1; here both stay empty. The cosine of an item
    with itself is 1 up to its last bit, which differs by device and by graph: a score
    that depends on it would not be the same when served.

    Args:
        similarity: float tensor of any shape.
        tiers: int. N, even.

    Returns:
        int32 tensor of the same shape.

    Example:
        >>> ops.convert_to_numpy(slot_of([-1.0, 0.0, 1.0, 1.001], 20)).tolist()
        [1, 10, 20, 20]
    """
    similarity = ops.convert_to_tensor(similarity)
    # Not s / 0.1: XLA divides by a constant with another rounding.
    slot = ops.ceil(similarity * (tiers / 2)) + tiers / 2
    return ops.cast(ops.clip(slot, 1, tiers), "int32")


def sim_tier(similarity: Any, mask: Any, tiers: int = 20, form: str = "paper") -> Any:
    """Counts of the valid similarities per tier (Algorithm 1, arXiv 2407.19467).

    Args:
        similarity: float tensor `[..., L]`.
        mask: bool tensor `[..., L]`.
        tiers: int. N. Defaults to 20.
        form: `"paper"` for the N tiers of `tier_of`, `"muse"` for the N + 2 slots of
            `slot_of`. Defaults to `"paper"`.

    Returns:
        float32 tensor `[..., N]` or `[..., N + 2]`; its sum is the number of valid
        positions.

    Example:
        >>> counts = sim_tier([[-1.0, 0.9, 0.95]], [[True, True, False]], tiers=2)
        >>> ops.convert_to_numpy(counts).tolist()
        [[1.0, 1.0]]
    """
    muse = form == "muse"
    size = tiers + 2 if muse else tiers
    slots = (slot_of if muse else tier_of)(similarity, tiers)
    # Out of range, what is masked is not counted.
    return _count(ops.where(ops.convert_to_tensor(mask), slots, size), size)


def _count(slots: Any, size: int) -> Any:
    """How often each of `0 .. size - 1` is in a row, without a `[..., L, size]`."""
    if keras.backend.backend() != "tensorflow":
        counts = [
            ops.sum(ops.cast(ops.equal(slots, slot), "float32"), axis=-1)
            for slot in range(size)
        ]
        return ops.stack(counts, axis=-1)
    import tensorflow as tf

    *outer, length = ops.shape(slots)
    counts = tf.raw_ops.DenseBincount(
        input=tf.reshape(slots, (math.prod(outer), length)),
        size=size,
        weights=tf.zeros((0,), tf.float32),
    )
    return tf.reshape(counts, (*outer, size))


@keras.saving.register_keras_serializable(package="tfmm")
class SimTier(Layer):
    """Turns the similarities of a candidate with a history into N tier counts.

    No gradient flows through the counts and, unless weighted, nothing is learned.

    Args:
        tiers: int. Number of tiers N over [-1, 1]. Defaults to 20 (width 0.1).
        scaling: `"counts"` as in the paper, `"log1p"` for log(1 + count), or
            `"log1p_weighted"` for log(1 + count) times a learned weight per tier.
        form: `"paper"`, or `"muse"` for the N + 2 slots of MUSE's code, whose learned
            weights start uniform in [0, 1) instead of at 1. Defaults to `"paper"`.

    Input shape:
        similarity float `[..., L]`, mask bool `[..., L]`.

    Output shape:
        float32 `[..., N]`, or `[..., N + 2]` in MUSE's form.

    Reference:
        Algorithm 1 of arXiv 2407.19467; alimama-tech/MUSE.

    Example:
        >>> similarity = ops.array([[0.9, 0.8, -0.9]])
        >>> counts = SimTier(tiers=4)(similarity, ops.ones((1, 3), "bool"))
        >>> ops.convert_to_numpy(counts).tolist()
        [[1.0, 0.0, 0.0, 2.0]]
    """

    def __init__(
        self,
        tiers: int = 20,
        scaling: str = "counts",
        form: str = "paper",
        **kwargs: Any,
    ) -> None:
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
        if form not in FORMS:
            raise TfmmError(
                f"SimTier does not know this form. Received: form={form!r}. "
                f"Choose one of {', '.join(FORMS)}."
            )
        if form == "muse" and tiers % 2:
            raise TfmmError(
                "MUSE's slots need an even number of tiers. Received: "
                f"tiers={tiers}. Give an even number, for example 20."
            )
        self.tiers = tiers
        self.scaling = scaling
        self.form = form
        self.slots = tiers + 2 if form == "muse" else tiers

    def build(self, similarity_shape: Any = None, mask_shape: Any = None) -> None:
        if self.scaling == "log1p_weighted":
            first: Any = "ones"
            if self.form == "muse":
                first = keras.initializers.RandomUniform(0.0, 1.0)
            self.tier_weights = self.add_weight(
                shape=(self.slots,),
                initializer=first,
                autocast=False,
                name="tier_weights",
            )
        self.built = True

    def call(self, similarity: Any, mask: Any) -> Any:
        counts = sim_tier(ops.stop_gradient(similarity), mask, self.tiers, self.form)
        if self.scaling == "counts":
            return counts
        logs = ops.log1p(counts)
        return logs if self.scaling == "log1p" else logs * self.tier_weights

    def compute_output_shape(
        self, similarity_shape: tuple[int | None, ...], mask_shape: Any = None
    ) -> tuple[int | None, ...]:
        return (*similarity_shape[:-1], self.slots)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "tiers": self.tiers,
            "scaling": self.scaling,
            "form": self.form,
        }
