"""Which requests share a batch, and in which order the batches come."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfmm.data.epochs import seed_of
from tfmm.data.timeline_pools import Pool, chosen, joined, padded
from tfmm.records.spec import RequestSpec

FILES, TIMELINES, REQUESTS, BATCHES = range(4)
_FILES_AT_ONCE = 4
_RECORDS_IN_TURN = 16
# Of serialized timelines in a pool: what bounds the memory.
_POOL_BYTES = 32 * 2**20
_POOL_TIMELINES = 256
_POOL_BATCHES = 32
# A state of the scan, an output, and the next one's.
Plan = tuple[Pool, tf.Tensor, tf.Tensor]


@dataclass(frozen=True)
class RequestOrder:
    """The requests of an epoch as batches, in an order that (seed, epoch) decides.

    Files are shuffled and read several at a time; their timelines come in pools of
    bounded size, whose requests are shuffled, cut into batches (of similar lengths, by
    option) and these shuffled again. What is left of a pool joins the next.

    Args:
        files: TFRecord files of timelines.
        read: From serialized timelines and their files to a pool.
        pool_size: Timelines of a pool.
        batch_size: Requests of a batch.
        shuffle: Whether to shuffle; else all keep the order of the files.
        seed: Of the order.
        bucket: Whether the requests of a batch have histories of similar length.
        spec: Where L and N are to be powers of two, or the spec's maxima.
    """

    files: list[str]
    read: Callable[[tf.Tensor, tf.Tensor], Pool]
    pool_size: int
    batch_size: int
    shuffle: bool
    seed: int
    bucket: bool
    spec: RequestSpec | None = None

    def rest(self, epoch: tf.Tensor, first: tf.Tensor) -> tf.data.Dataset:
        """What batches are made from, from the first one wanted on."""
        with tf.init_scope():  # Traced once less.
            none = self.read(tf.zeros([0], tf.string), tf.zeros([0], tf.string))
        pools = self._pools(epoch, none)
        plans = pools.scan(none, lambda left, pool: self._plan(left, epoch, *pool))
        return plans.prefetch(1).flat_map(_one_by_one).skip(first)

    def batch(self, pool: Pool, order: tf.Tensor, start: tf.Tensor) -> Any:
        """A batch: the requests of the order from a start on."""
        rows = order[start : start + self.batch_size]
        widths = [
            tf.maximum(tf.reduce_max(tf.gather(pool["request"][name], rows)), 1)
            for name in ("n_history", "n_items")
        ]
        if self.spec is not None:
            limits = self.spec.max_history, self.spec.max_items
            widths = [
                _rounded_up(width, limit)
                for width, limit in zip(widths, limits, strict=True)
            ]
        return padded(pool, rows, *widths)

    def _pools(self, epoch: tf.Tensor, none: Pool) -> tf.data.Dataset:
        """(number, whether it is the last and empty, pool)."""
        files = tf.constant(self.files)
        if self.shuffle:
            files = _shuffled(files, seed_of(self.seed, epoch, 0, FILES))
        records = tf.data.Dataset.from_tensor_slices(files).interleave(
            _records_of, cycle_length=_FILES_AT_ONCE if self.shuffle else 1
        )
        # Parsing uses all cores by itself, and pools are large.
        pools = records.rebatch(self.pool_size).map(self.read)
        end = tf.data.Dataset.from_tensors(none)
        parts = [
            tf.data.Dataset.zip(tf.data.Dataset.from_tensors(last).repeat(), part)
            for last, part in ((False, pools), (True, end))
        ]
        numbered = parts[0].concatenate(parts[1]).enumerate()
        return numbered.map(lambda number, part: (number, *part))

    def _plan(
        self,
        left: Pool,
        epoch: tf.Tensor,
        number: tf.Tensor,
        last: tf.Tensor,
        pool: Pool,
    ) -> tuple[Pool, Plan]:
        """(what is left, (pool, order, starts of the batches in the order))."""
        pool = joined(left, pool)
        count = tf.size(pool["request"]["user"])
        whole = count // self.batch_size * self.batch_size
        order, starts = tf.range(count), tf.range(0, whole, self.batch_size)
        if self.shuffle:
            order = _shuffled(order, seed_of(self.seed, epoch, number, REQUESTS))
        if self.bucket:
            lengths = tf.gather(pool["request"]["n_history"], order[:whole])
            order = tf.concat(
                [tf.gather(order, tf.argsort(lengths, stable=True)), order[whole:]], 0
            )
        if self.shuffle:
            starts = _shuffled(starts, seed_of(self.seed, epoch, number, BATCHES))
        kept = chosen(pool, order[whole:])
        rest = tf.range(whole, tf.where(last, count, whole), self.batch_size)
        return kept, (pool, order, tf.concat([starts, rest], 0))


def pool_size(counts: Any, total_bytes: int, batch_size: int) -> int:
    """How many timelines make a pool.

    Enough for many batches and of many users, so that a batch is a fair mixture; and
    no more than 32 MiB of records.

    Args:
        counts: The manifest's, with `requests` and, if known, `timelines`.
        total_bytes: Of all files.
        batch_size: Requests of a batch.

    Example:
        >>> pool_size({"requests": 25_000, "timelines": 1000}, 3_000_000, 250)
        320
        >>> pool_size({"requests": 90_000, "timelines": 90_000}, 1_200_000_000, 1000)
        2516
    """
    timelines = max(counts.get("timelines") or counts["requests"], 1)
    wanted = -(-_POOL_BATCHES * batch_size * timelines // counts["requests"])
    held = _POOL_BYTES * timelines // max(total_bytes, 1)
    return max(min(max(wanted, _POOL_TIMELINES), held), 1)


def _records_of(file: tf.Tensor) -> tf.data.Dataset:
    """Some records of a file at a time, each with the file's name."""
    some = tf.data.TFRecordDataset(file).batch(_RECORDS_IN_TURN)
    return some.map(lambda records: (records, tf.fill(tf.shape(records), file)))


def _one_by_one(pool: Pool, order: tf.Tensor, starts: tf.Tensor) -> tf.data.Dataset:
    return tf.data.Dataset.zip(
        tf.data.Dataset.from_tensors(pool).repeat(),
        tf.data.Dataset.from_tensors(order).repeat(),
        tf.data.Dataset.from_tensor_slices(starts),
    )


def _rounded_up(width: tf.Tensor, limit: int) -> tf.Tensor:
    """The next power of two, or the limit."""
    powers = tf.constant([2**i for i in range(31) if 2**i < limit] + [limit])
    return powers[tf.searchsorted(powers, [width])[0]]


def _shuffled(values: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    return tf.random.experimental.stateless_shuffle(values, seed)
