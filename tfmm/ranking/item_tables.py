"""What a ranker knows about items besides vectors, read by catalog row."""

from typing import Any

import keras
import numpy as np
from keras import ops

from tfmm.errors import TfmmError
from tfmm.layers.base import Layer
from tfmm.layers.embedding import Embedding
from tfmm.layers.gather import gather_rows


@keras.saving.register_keras_serializable(package="tfmm")
class ItemTables(Layer):
    """Item embeddings: the ID's and those of its categorical features, side by side.

    The tables by catalog row (embedding row, feature codes, numbers) are non-trainable
    variables; requests carry catalog rows only.

    Args:
        rows: int. Catalog rows.
        items: int. Embedding rows (0 fills, 1 rare or new).
        sizes: Number of codes of each categorical item feature, in order.
        numbers: int. How many numeric item features there are.
        embedding_dim: int. Dimension of each embedding.

    Input shape:
        int32 catalog rows of any shape; 0 gives zeros.

    Output shape:
        float `[*rows.shape, embedding_dim * (1 + len(sizes))]`.
    """

    built: bool

    def __init__(
        self,
        rows: int,
        items: int,
        sizes: tuple[int, ...] = (),
        numbers: int = 0,
        embedding_dim: int = 16,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rows = rows
        self.items = items
        self.sizes = tuple(sizes)
        self.number_count = numbers
        self.embedding_dim = embedding_dim
        self.embeddings = [
            Embedding(size, embedding_dim, dtype=self.dtype_policy)
            for size in (items, *self.sizes)
        ]
        self.build()

    @property
    def dimension(self) -> int:
        """Length of an item's embedding."""
        return self.embedding_dim * (1 + len(self.sizes))

    def build(self, input_shape: Any = None) -> None:
        if self.built:
            return
        width = 1 + len(self.sizes)
        self.codes = self._table("codes", (self.rows, width), "int32")
        self.numbers = self._table("numbers", (self.rows, self.number_count), "float32")
        for embedding in self.embeddings:
            embedding.build()
        self.built = True

    def _table(self, name: str, shape: tuple[int, int], dtype: str) -> Any:
        return self.add_weight(
            shape=shape,
            initializer="zeros",
            dtype=dtype,
            trainable=False,
            autocast=False,
            name=name,
        )

    def assign(self, embedding_row: Any, codes: Any, numbers: Any) -> None:
        """Fills the tables; rows beyond them are items appended later.

        Such items get embedding row 1 (new), code 1 (unknown) and the number 0.

        Args:
            embedding_row: int32 array `[r]`, r at most `rows`.
            codes: int32 array `[r, len(sizes)]`.
            numbers: float32 array `[r, numbers]`.

        Raises:
            TfmmError: Arrays of another width, or codes beyond the embeddings.
        """
        table = np.concatenate([np.asarray(embedding_row)[:, None], codes], axis=1)
        if table.shape[1] != len(self.embeddings):
            raise TfmmError(
                "The item features do not fit the model. "
                f"Received: {table.shape[1] - 1} categorical features, expected "
                f"{len(self.sizes)}. Build the vocabularies and the model together."
            )
        sizes = np.array([self.items, *self.sizes])
        if table.min() < 0 or (table.max(axis=0) >= sizes).any():
            raise TfmmError(
                "Item codes must be below the number of codes. Received: largest "
                f"{table.max(axis=0).tolist()} for sizes {sizes.tolist()}. "
                "Build the vocabularies again."
            )
        appended = self.rows - len(table)
        self.codes.assign(np.pad(table, [(0, appended), (0, 0)], constant_values=1))
        self.numbers.assign(np.pad(numbers, [(0, appended), (0, 0)]))

    def call(self, rows: Any) -> Any:
        codes = gather_rows(self.codes, rows)
        return ops.concatenate(
            [embed(codes[..., i]) for i, embed in enumerate(self.embeddings)], axis=-1
        )

    def feature_codes(self, rows: Any, column: int) -> Any:
        """Codes int32 `[*rows.shape]` of one categorical feature; 0 is missing."""
        return gather_rows(self.codes, rows)[..., 1 + column]

    def numbers_of(self, rows: Any) -> Any:
        """The items' numeric features, `[*rows.shape, numbers]`."""
        return gather_rows(self.numbers, rows)
