"""Vocabulary files of an export, and the lookup tables that read them."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.records.hashing import with_hashes
from tfmm.records.spec import FIRST_CODE

_BREAKS = ("\n", "\r")


def write_lines(path: Path, values: Sequence[str]) -> Path:
    """Writes one value a line.

    Raises:
        TfmmError: If a value holds a line break, which a served lookup table would
            read as the end of the value.
    """
    for value in values:
        if any(mark in value for mark in _BREAKS):
            raise TfmmError(
                f"`{path.stem}` holds a value with a line break, which lookup tables "
                f"cannot serve. Received: {value!r}. Clean the column and run again."
            )
    path.write_text("".join(f"{value}\n" for value in values), encoding="utf-8")
    return path


class Lookup(tf.Module):
    """Maps keys to their line number + 2, and unlisted keys to 1 or a hashed code.

    Args:
        path: File with one key a line; it becomes an asset of the SavedModel.
        key_dtype: `tf.string` or `tf.int64` (keys in decimal).
        empty: What the empty string maps to; `None` treats it as any other key.
        hash_buckets: How many hashed codes unlisted strings share; 0 for the one code.
    """

    def __init__(
        self,
        path: Path,
        key_dtype: tf.DType = tf.string,
        empty: int | None = None,
        hash_buckets: int = 0,
    ) -> None:
        super().__init__()
        self._empty = empty
        self._known = path.read_bytes().count(b"\n")
        self._hash_buckets = hash_buckets
        # TensorFlow cannot initialise a table from an empty file.
        self._table = _table(path, key_dtype) if path.stat().st_size else None

    def __call__(self, keys: tf.Tensor) -> tf.Tensor:
        """Codes int32 of the keys, of the same shape."""
        if self._table is None:
            codes = tf.ones_like(keys, tf.int32)
        else:
            codes = tf.cast(self._table.lookup(keys), tf.int32) + FIRST_CODE
        codes = with_hashes(codes, keys, self._known, self._hash_buckets)
        if self._empty is None:
            return codes
        return tf.where(tf.equal(keys, ""), self._empty, codes)


class Names(tf.Module):
    """Maps catalog rows back to raw ids, by the file that `Lookup` reads.

    Args:
        path: File with one id a line, the first of row 2.
        dtype: `tf.string` or `tf.int64` (ids in decimal).
        unknown: What rows without an id map to.
    """

    def __init__(self, path: Path, dtype: tf.DType, unknown: str) -> None:
        super().__init__()
        numbers = dtype == tf.int64
        self._unknown = int(unknown) if numbers else unknown
        self._dtype, self._table = dtype, None
        if path.stat().st_size:
            initializer = _Lines(
                str(path),
                key_dtype=tf.int64,
                key_index=tf.lookup.TextFileIndex.LINE_NUMBER,
                value_dtype=dtype,
                value_index=0 if numbers else tf.lookup.TextFileIndex.WHOLE_LINE,
            )
            # Made while one signature is traced, and read by others.
            with tf.init_scope():
                self._table = tf.lookup.StaticHashTable(initializer, self._unknown)

    def __call__(self, rows: tf.Tensor) -> tf.Tensor:
        """Ids of int32 rows, of the same shape."""
        if self._table is None:
            return tf.fill(tf.shape(rows), tf.constant(self._unknown, self._dtype))
        return self._table.lookup(tf.cast(rows, tf.int64) - FIRST_CODE)


def _table(path: Path, key_dtype: tf.DType) -> tf.lookup.StaticHashTable:
    whole = key_dtype == tf.string
    initializer = _Lines(
        str(path),
        key_dtype=key_dtype,
        key_index=tf.lookup.TextFileIndex.WHOLE_LINE if whole else 0,
        value_dtype=tf.int64,
        value_index=tf.lookup.TextFileIndex.LINE_NUMBER,
    )
    return tf.lookup.StaticHashTable(initializer, default_value=-1)


class _Lines(tf.lookup.TextFileInitializer):
    """Names its table by the file's content; the default writes the file's path,
    which is this machine's, into the graph."""

    @property
    def _shared_name(self) -> str:
        path = Path(self._filename_arg)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:16]
        return f"{path.stem}_{self._key_index}_{self._value_index}_{digest}"
