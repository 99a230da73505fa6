"""Item ids in row order: text, or integers at eight bytes each."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from tfmm.records.sorted_ids import SortedIds
from tfmm.records.text_search import TextSearch

_CHUNK = 1 << 20
# From so many texts on, a search among them is worth its preparation.
_MANY = 1 << 18
_NAME = "item_id"


class IdColumn:
    """Ids by place, and the places of ids.

    Integers stay integers, so that tens of millions of them fit; what is written,
    digested or shown is their decimal text, whatever they are held as.

    Args:
        ids: Texts, or an int64 array.

    Example:
        >>> numbers, texts = IdColumn(np.array([30, 4])), IdColumn(["30", "4"])
        >>> numbers.places(np.array([4, 5])).tolist(), texts.places(["4"]).tolist()
        ([1, -1], [1])
        >>> numbers.digest() == texts.digest()
        True
    """

    def __init__(self, ids: Sequence[str] | np.ndarray | pa.Array) -> None:
        self._numbers: np.ndarray | None = None
        if isinstance(ids, np.ndarray) and ids.dtype == np.int64:
            self._numbers = ids
        else:
            self._texts = as_text(ids if isinstance(ids, pa.Array) else list(ids))

    def __len__(self) -> int:
        return len(self._texts if self._numbers is None else self._numbers)

    def texts(self) -> pa.Array:
        """All ids as a string array."""
        return self._texts if self._numbers is None else as_text(self._numbers)

    def text(self, place: int) -> str:
        """The id at a place."""
        if self._numbers is None:
            return self._texts[place].as_py()
        return str(int(self._numbers[place]))

    def places(self, ids: Sequence[str] | np.ndarray | pa.Array) -> np.ndarray:
        """Where ids stand: int64 `[n]`, -1 where unknown."""
        if self._numbers is not None and (whole := _integers(ids)) is not None:
            order, search = self._search
            found = search.places(whole)
            return found if order is None else np.where(found < 0, -1, order[found])
        if len(self) > _MANY and self._text_search is not None:
            return self._text_search.places(as_text(ids))
        found = pc.index_in(as_text(ids), value_set=self.texts())
        return pc.fill_null(found, -1).to_numpy(zero_copy_only=False).astype(np.int64)

    def repeated(self) -> int:
        """How many ids stand there more than once, each further time counted."""
        if self._numbers is None:
            return len(self) - pc.count_distinct(self._texts).as_py()
        ids = self._search[1].ids
        return int((ids[1:] == ids[:-1]).sum())

    def digest(self, length: int | None = None) -> str:
        """sha256 of the first ids as a JSON list of texts, in hexadecimal."""
        found, between = hashlib.sha256(b"["), b""
        for texts in self._chunks(len(self) if length is None else length):
            found.update(between + self._listed(texts))
            between = b", "
        found.update(b"]")
        return found.hexdigest()

    def save(self, path: Path) -> None:
        """Writes a Parquet file with the one column `item_id`, text."""
        with pq.ParquetWriter(path, pa.schema([(_NAME, pa.string())])) as writer:
            for texts in self._chunks(len(self)):
                writer.write_table(pa.table({_NAME: texts}))

    @staticmethod
    def load(path: Path, integers: bool) -> np.ndarray | pa.Array:
        """The ids of such a file: int64 `[n]` where all are, else texts."""
        batches = pq.ParquetFile(path).iter_batches(_CHUNK, columns=[_NAME])
        texts = (batch.column(0) for batch in batches)
        if not integers:
            return pa.concat_arrays([pa.array([], pa.string()), *texts])
        try:
            parts = [pc.cast(chunk, pa.int64()).to_numpy() for chunk in texts]
        except pa.ArrowInvalid:  # Larger than int64 holds.
            return IdColumn.load(path, integers=False)
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def _listed(self, texts: pa.Array) -> bytes:
        """Texts as in a JSON list, without its brackets."""
        if self._numbers is None:
            return json.dumps(texts.to_pylist())[1:-1].encode()
        # Digits need no escapes, and Arrow joins tens of millions of them.
        whole = pa.ListArray.from_arrays(pa.array([0, len(texts)], pa.int32()), texts)
        joined = pc.binary_join(whole, '", "')
        return f'"{joined[0].as_py()}"'.encode()

    def _chunks(self, length: int) -> Iterator[pa.Array]:
        for start in range(0, length, _CHUNK):
            part = slice(start, min(start + _CHUNK, length))
            known = self._numbers
            yield self._texts[part] if known is None else as_text(known[part])

    @cached_property
    def _text_search(self) -> TextSearch | None:
        return TextSearch.of(self.texts())

    @cached_property
    def _search(self) -> tuple[np.ndarray | None, SortedIds]:
        """Sorted ids to search in, and their places where they stand otherwise."""
        assert self._numbers is not None
        if (self._numbers[1:] > self._numbers[:-1]).all():
            return None, SortedIds(self._numbers)
        order = np.argsort(self._numbers, kind="stable")
        return order, SortedIds(self._numbers[order])


def as_text(ids: Sequence[str] | np.ndarray | pa.Array) -> pa.Array:
    """Raw ids as an Arrow string array; integers in decimal."""
    if isinstance(ids, list) and not ids:
        return pa.array([], pa.string())
    if not isinstance(ids, pa.Array | pa.ChunkedArray):
        ids = pa.array(ids)
    if isinstance(ids, pa.ChunkedArray):
        ids = ids.combine_chunks()
    return ids if ids.type == pa.string() else pc.cast(ids, pa.string())


def _integers(ids: Sequence[str] | np.ndarray | pa.Array) -> np.ndarray | None:
    """Ids as int64 where all are integers, and texts just as integers are written."""
    if isinstance(ids, np.ndarray) and ids.dtype.kind == "i":
        return ids.astype(np.int64, copy=False)
    texts = as_text(ids)
    try:
        numbers = pc.cast(texts, pa.int64())
    except pa.ArrowInvalid:
        return None
    # "007" is another id than "7".
    same = texts.null_count == 0 and pc.cast(numbers, pa.string()).equals(texts)
    return numbers.to_numpy() if same else None
