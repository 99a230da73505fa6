"""What every interest is."""

from collections.abc import Mapping
from typing import Any

import keras

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer
from tfmm.ranking.views import Views


class Interest(Layer):
    """A layer from a ranker's views of a batch to inputs per candidate.

    A subclass makes its parts in `__init__`, or in `connect` where they depend on the
    modalities, and returns float `[B, N, k]` from `call(views)`. The views are computed
    lazily and once: what no interest asks for costs nothing. Any Keras layer with such
    a `call` works in a ranker; this class adds the two hooks.

    Attributes:
        needs_vectors: Whether it needs at least one modality.
    """

    needs_vectors = False

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Keras would build from the shapes of tensors, and views are not one.
        self.built = True

    def connect(self, modalities: Mapping[str, int]) -> None:
        """Tells the interest what the ranker has, before the first call.

        Args:
            modalities: Dimension by modality.
        """

    def call(self, views: Views) -> Any:
        """Inputs per candidate.

        Args:
            views: The batch's views.

        Returns:
            float `[B, N, k]`; what stands for padded candidates is ignored.
        """
        raise NotImplementedError


def connect(interest: keras.layers.Layer, modalities: Mapping[str, int]) -> None:
    """Readies an interest for its first call, or a foreign layer in its place.

    Args:
        interest: An `Interest`, or any layer called with views.
        modalities: Dimension by modality.

    Raises:
        TfmmError: It is in a ranker already, whose weights would become another's.
    """
    if getattr(interest, "in_ranker", False):
        raise TfmmError(
            "An interest belongs to one ranker, once. Received: the layer "
            f"{interest.name!r} again. Make a new one, or give its name and options."
        )
    interest.in_ranker = True
    if isinstance(interest, Interest):
        interest.connect(modalities)
    elif type(interest).build is keras.layers.Layer.build:
        interest.built = True
    if not interest.trainable:
        interest.trainable = False  # Reaches the parts made meanwhile.
