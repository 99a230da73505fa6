"""The part of MAKE that a ranker takes over: from vectors to knowledge."""

from collections.abc import Mapping, Sequence
from typing import Any

import keras
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer
from tfmm.layers.target_attention import TargetAttention


@keras.saving.register_keras_serializable(package="tfmm")
class MakeExtractor(Layer):
    """Frozen vectors to v_MAKE, the MLP's intermediate outputs and the logit.

    `v_MAKE = DIN({v_i}, v_c)` (eq. 3), one DIN per modality, concatenated;
    `v_hat = MLP_MAKE(v_MAKE)` (eq. 4), four hidden layers and a linear logit. As in
    DIN, the MLP also sees the candidate: its input is `[v_MAKE, v_c, v_MAKE * v_c]`;
    without `candidate` it is v_MAKE alone, as eq. 4 is printed.
    The attention weights are sigmoids that do not sum to 1, so that the length of
    v_MAKE says how much of the history resembles the candidate.

    Args:
        dimensions: Vector length by modality, in order.
        hidden: Units of the MLP's hidden layers. Defaults to (128, 64, 32, 16).
        attention_hidden: Units of DIN's attention network. Defaults to (16,).
        activation: Activation of the hidden layers. Defaults to `"relu"`.
        normalization: DIN's weights, `"sigmoid"` (default) or `"softmax"`.
        candidate: Whether the MLP sees the candidate too. Defaults to True.

    Input shape:
        dicts by modality: history float `[B, L, d]`, candidates float `[B, N, d]`,
        mask bool `[B, N, L]`.

    Output:
        (v_MAKE `[B, N, sum of d]`, tuple of hidden outputs `[B, N, u]`, logit
        `[B, N]`).

    Reference:
        Eqs. 3 and 4 of arXiv 2407.19467.

    Example:
        >>> extractor = MakeExtractor({"image": 4}, hidden=(3, 2))
        >>> v_make, hidden, logit = extractor(
        ...     {"image": ops.ones((1, 5, 4))}, {"image": ops.ones((1, 2, 4))},
        ...     {"image": ops.ones((1, 2, 5), "bool")},
        ... )
        >>> v_make.shape == (1, 2, 4), len(hidden), logit.shape == (1, 2)
        (True, 2, True)
    """

    built: bool

    def __init__(
        self,
        dimensions: Mapping[str, int],
        hidden: Sequence[int] = (128, 64, 32, 16),
        attention_hidden: Sequence[int] = (16,),
        activation: str = "relu",
        normalization: str = "sigmoid",
        candidate: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not hidden:
            raise TfmmError(
                "MAKE's MLP needs hidden layers. Received: hidden=(). "
                "Give their widths, for example (128, 64, 32, 16)."
            )
        self.dimensions = dict(dimensions)
        self.hidden = tuple(hidden)
        self.attention_hidden = tuple(attention_hidden)
        self.activation = activation
        self.normalization = normalization
        self.candidate = candidate
        inner: dict[str, Any] = {
            "dtype": self.dtype_policy,
            "trainable": self.trainable,
        }
        self.attentions = {
            name: TargetAttention(attention_hidden, activation, normalization, **inner)
            for name in self.dimensions
        }
        self.dense_layers = [
            keras.layers.Dense(units, activation, **inner) for units in hidden
        ]
        self.logit_layer = keras.layers.Dense(1, **inner)
        self.build()

    def build(
        self,
        history_shape: Any = None,
        candidates_shape: Any = None,
        mask_shape: Any = None,
    ) -> None:
        if self.built:
            return
        for name, dimension in self.dimensions.items():
            shape = (None, None, dimension)
            self.attentions[name].build(shape, shape)
        width = (3 if self.candidate else 1) * sum(self.dimensions.values())
        for layer in (*self.dense_layers, self.logit_layer):
            layer.build((None, None, width))
            width = layer.units
        self.built = True

    def call(
        self,
        history: Mapping[str, Any],
        candidates: Mapping[str, Any],
        mask: Mapping[str, Any],
    ) -> tuple[Any, tuple[Any, ...], Any]:
        v_make = ops.concatenate(
            [
                self.attentions[name](candidates[name], history[name], mask[name])
                for name in self.dimensions
            ],
            axis=-1,
        )
        hidden, intermediates = self._mlp_input(v_make, candidates), []
        for layer in self.dense_layers:
            hidden = layer(hidden)
            intermediates.append(hidden)
        logit = ops.cast(ops.squeeze(self.logit_layer(hidden), -1), "float32")
        return v_make, tuple(intermediates), logit

    def _mlp_input(self, v_make: Any, candidates: Mapping[str, Any]) -> Any:
        if not self.candidate:
            return v_make
        shown = ops.concatenate([candidates[name] for name in self.dimensions], axis=-1)
        return ops.concatenate([v_make, shown, v_make * shown], axis=-1)

    def clone(self, name: str | None = None) -> "MakeExtractor":
        """A copy with weights of its own, equal to this one's.

        Args:
            name: The copy's name. Defaults to this one's.
        """
        changes = {"trainable": True, "name": name or self.name}
        copy = type(self).from_config({**self.get_config(), **changes})
        copy.set_weights(self.get_weights())
        return copy

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "dimensions": self.dimensions,
            "hidden": list(self.hidden),
            "attention_hidden": list(self.attention_hidden),
            "activation": self.activation,
            "normalization": self.normalization,
            "candidate": self.candidate,
        }
