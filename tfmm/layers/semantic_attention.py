"""SA-TA: target attention over ID embeddings, led by semantic similarity."""

import math
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer
from tfmm.layers.target_attention import masked_weights

FORMS = ("paper", "muse")
FIRST_TEMPERATURE = 0.1


def semantic_scores(
    id_scores: Any,
    similarity: Any,
    similarity_mask: Any,
    gammas: Any,
    temperature: Any = 1.0,
) -> Any:
    """Attention scores of an ID part, a semantic part and their product.

    `alpha = g1 a_ID + g2 R + g3 a_ID R` with R = similarity / temperature. A position
    where one side has no vector keeps the ID part alone.

    Args:
        id_scores: float tensor a_ID `[B, N, L]`.
        similarity: float32 tensor `[B, N, L]`.
        similarity_mask: bool tensor `[B, N, L]`, true where both sides have a vector.
        gammas: float tensor `[3]`, the weights of the parts.
        temperature: float or scalar tensor above 0. Defaults to 1.

    Returns:
        float32 tensor `[B, N, L]`.

    Reference:
        SA-TA of MUSE, arXiv 2512.07216.

    Example:
        >>> scores = semantic_scores(
        ...     ops.array([[[2.0, 2.0]]]), ops.array([[[0.5, 0.5]]]),
        ...     ops.array([[[True, False]]]), ops.array([1.0, 10.0, 100.0])
        ... )
        >>> ops.convert_to_numpy(scores).tolist()
        [[[107.0, 2.0]]]
    """
    id_scores = ops.cast(id_scores, "float32")
    similarity = ops.cast(similarity, "float32")
    semantic = ops.where(similarity_mask, similarity, ops.zeros((), "float32"))
    semantic = semantic / temperature
    gammas = ops.cast(gammas, "float32")
    return id_scores * (gammas[0] + gammas[2] * semantic) + gammas[1] * semantic


def dot_scores(candidates: Any, history: Any, query: Any, key: Any) -> Any:
    """Scaled dot products `(E W_k)(e_a W_q)^T / sqrt(D)`, without projecting E.

    `(E W_k)(e_a W_q)^T = E (e_a W_q W_k^T)^T`: with fewer candidates than behaviours
    the right side costs a fraction, and no `[B, L, D]` tensor is made or kept for the
    gradient.

    Args:
        candidates: float tensor e_a `[B, N, d]`.
        history: float tensor E `[B, L, d]`.
        query: W_q `[d, D]`.
        key: W_k `[d, D]`.

    Returns:
        float tensor `[B, N, L]`.

    Example:
        >>> two = ops.array([[2.0]])
        >>> scores = dot_scores([[[3.0]]], [[[1.0], [5.0]]], two, two)
        >>> ops.convert_to_numpy(scores).tolist()
        [[[12.0, 60.0]]]
    """
    queries = ops.matmul(ops.matmul(candidates, query), ops.transpose(key))
    scores = ops.matmul(queries, ops.swapaxes(history, 1, 2))
    return scores / math.sqrt(key.shape[-1])


@keras.saving.register_keras_serializable(package="tfmm")
class SemanticTargetAttention(Layer):
    """SA-TA: each candidate's weighted sum of the history, led by cosines.

    `u = softmax(alpha)^T (E W_v)` with alpha of `semantic_scores`. Frozen vectors say
    which behaviours matter, ID embeddings carry what is passed on.

    Args:
        units: int. D, the width of queries, keys, values and output. Defaults to
            None: the width d of the candidates.
        form: `"paper"` for linear projections and a_ID divided by sqrt(D), or
            `"muse"` for what MUSE's code does: q, k, v = swish(W x + b), no division,
            R = cosine / tau with a learned tau > 0, 0.1 at first. Defaults to
            `"paper"`.

    Input shape:
        candidates float `[B, N, d]` or `[B, d]`; history float `[B, L, d]`; similarity
        float32 `[B, N, L]`; mask bool `[B, L]` or `[B, N, L]`, the valid history;
        similarity_mask bool `[B, N, L]`, true where both sides have a vector. Without
        the N axis where the candidates have none.

    Output shape:
        float `[B, N, D]` or `[B, D]`; zeros where no history position is valid.

    Reference:
        MUSE, arXiv 2512.07216, and its code alimama-tech/MUSE.

    Example:
        >>> attention = SemanticTargetAttention(units=8)
        >>> pairs = ops.ones((2, 3, 5))
        >>> attention(
        ...     ops.ones((2, 3, 4)), ops.ones((2, 5, 4)), pairs,
        ...     ops.ones((2, 5), "bool"), ops.cast(pairs, "bool"),
        ... ).shape == (2, 3, 8)
        True
    """

    def __init__(
        self, units: int | None = None, form: str = "paper", **kwargs: Any
    ) -> None:
        kwargs.setdefault("autocast", False)
        super().__init__(**kwargs)
        if units is not None and units < 1:
            raise TfmmError(
                "Semantic target attention needs a width of at least 1. "
                f"Received: units={units}. Give a positive number or None."
            )
        if form not in FORMS:
            raise TfmmError(
                "Semantic target attention does not know this form. Received: "
                f"form={form!r}. Choose one of {', '.join(FORMS)}."
            )
        self.units = units
        self.form = form

    def build(self, candidates_shape: Any, history_shape: Any, *_: Any) -> None:
        units = self.units or candidates_shape[-1]
        muse = self.form == "muse"

        def projection(name: str, shape: Any) -> keras.layers.Dense:
            layer = keras.layers.Dense(
                units,
                activation="swish" if muse else None,
                use_bias=muse,
                dtype=self.dtype_policy,
                name=name,
            )
            layer.build((None, shape[-1]))
            return layer

        self.query = projection("query", candidates_shape)
        self.key = projection("key", history_shape)
        self.value = projection("value", history_shape)
        # Without `autocast=False` mixed precision would round the scalars too.
        self.gammas = self.add_weight(
            shape=(3,), initializer="ones", autocast=False, name="gammas"
        )
        if muse:
            self.log_temperature = self.add_weight(
                shape=(),
                initializer=keras.initializers.Constant(math.log(FIRST_TEMPERATURE)),
                autocast=False,
                name="log_temperature",
            )
        self.built = True

    def call(
        self,
        candidates: Any,
        history: Any,
        similarity: Any,
        mask: Any,
        similarity_mask: Any,
    ) -> Any:
        single = len(candidates.shape) == 2
        if single:
            candidates, similarity = candidates[:, None], similarity[:, None]
            similarity_mask = similarity_mask[:, None]
        if len(mask.shape) == 2:
            mask = mask[:, None]
        candidates = ops.cast(candidates, self.compute_dtype)
        usable = ops.any(mask, axis=1)[..., None]
        history = ops.cast(history, self.compute_dtype)
        history = ops.where(usable, history, ops.zeros((), history.dtype))
        temperature = ops.exp(self.log_temperature) if self.form == "muse" else 1.0
        scores = semantic_scores(
            self.id_scores(candidates, history),
            similarity,
            ops.logical_and(similarity_mask, mask),
            self.gammas,
            temperature,
        )
        pooled = self.pool(masked_weights(scores, mask, "softmax"), history)
        return pooled[:, 0] if single else pooled

    def id_scores(self, candidates: Any, history: Any) -> Any:
        """The ID part of the scores, a_ID.

        Args:
            candidates: float tensor `[B, N, d]`.
            history: float tensor `[B, L, d]`.

        Returns:
            float tensor `[B, N, L]`.
        """
        if self.form == "muse":
            keys = ops.swapaxes(self.key(history), 1, 2)
            return ops.matmul(self.query(candidates), keys)
        kernels = (
            ops.cast(layer.kernel, self.compute_dtype)
            for layer in (self.query, self.key)
        )
        return dot_scores(candidates, history, *kernels)

    def pool(self, weights: Any, history: Any) -> Any:
        """The weighted sum of the values, `weights (E W_v)`.

        Args:
            weights: float tensor `[B, N, L]`.
            history: float tensor `[B, L, d]`.

        Returns:
            float tensor `[B, N, D]`.
        """
        weights = ops.cast(weights, self.compute_dtype)
        if self.form == "muse":
            return ops.matmul(weights, self.value(history))
        # Linear: pooling first leaves N rows to project instead of L.
        return self.value(ops.matmul(weights, history))

    def compute_output_shape(self, candidates_shape: Any, *_: Any) -> Any:
        return (*candidates_shape[:-1], self.units or candidates_shape[-1])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "units": self.units, "form": self.form}
