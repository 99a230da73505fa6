"""The order of pair records, and all that chance decides: functions of a seed."""

from collections.abc import Sequence

import tensorflow as tf

from tfmm.data.epochs import seed_of

# What a random number is for; another seed for each.
NEGATIVE, FILES, WINDOW, PICTURE, TITLE, AUGMENT, WORDS = range(7)
NEGATIVE_PICTURE, NEGATIVE_TITLE = range(7, 9)
_READ_BATCH = 4096


class PairOrder:
    """The records of an epoch in an order that (seed, epoch) alone decides.

    Files are shuffled, then records within windows. `Dataset.shuffle` would also
    depend on TensorFlow's global seed.

    Args:
        files: TFRecord files.
        window: How many records are shuffled together; 0 keeps the files' order.
        seed: Of the order.
        sources: Codes of the sources to keep; all when absent.
    """

    def __init__(
        self,
        files: list[str],
        window: int,
        seed: int,
        sources: Sequence[int] | None = None,
    ) -> None:
        self._files, self._window, self._seed = tf.constant(files), window, seed
        self._sources = sources

    def __call__(self, epoch: tf.Tensor) -> tf.data.Dataset:
        """Serialized records, one by one."""
        if not self._window:
            records = tf.data.TFRecordDataset(self._files)
            if self._sources is None:
                return records
            return records.batch(_READ_BATCH).map(self._kept).unbatch()
        shuffled = tf.random.experimental.stateless_shuffle
        files = shuffled(self._files, seed_of(self._seed, epoch, 0, FILES))
        dataset = tf.data.Dataset.from_tensor_slices(files)
        records = dataset.interleave(tf.data.TFRecordDataset, cycle_length=4)
        windows = records.batch(self._window).enumerate()
        mixed = windows.map(
            lambda number, some: shuffled(
                self._kept(some), seed_of(self._seed, epoch, number, WINDOW)
            )
        )
        return mixed.unbatch()

    def _kept(self, records: tf.Tensor) -> tf.Tensor:
        """The records of the sources to keep, parsed no further than needed."""
        if self._sources is None:
            return records
        source = tf.io.FixedLenFeature([], tf.int64, 0)
        found = tf.io.parse_example(records, {"source": source})["source"]
        wanted = tf.constant(list(self._sources), tf.int64)
        return records[tf.reduce_any(found[:, None] == wanted, axis=1)]
