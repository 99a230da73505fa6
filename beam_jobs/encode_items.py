"""Item records -> blocks of vectors: what is new goes through the encoder."""

import itertools
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler, RunInference

from beam_jobs import files
from beam_jobs.earlier_vectors import NOTHING, earlier_digests
from beam_jobs.kernels.encoder_inputs import (
    EncoderInputs,
    inputs_of,
    rebatched,
    unchanged,
)
from beam_jobs.kernels.vector_blocks import Block, Tables, end_to_end
from beam_jobs.vector_files import write_block
from beam_jobs.work import Work
from tfmm.catalog import VectorTable, quantise

SIGNATURE = "encode_item"
# A batch of Beam's is this many calls of the encoder; two run at a time.
_CALLS, _CALLS_AT_A_TIME = 8, 2
# Each of these has only a few new items, which then share calls of the encoder.
_SHARDS_PER_LANE = 8
# With whole SIMD registers of items, none is computed in another way than the rest.
_STEP = 16

Facts = Mapping[str, Mapping[str, Any]]


def call_size(batch_size: int) -> int:
    """Items of every call of the encoder: at least as many, in steps of 16.

    Then an item's vector is the same, bit for bit, in every place of a call and
    whatever else is in it.
    """
    return -(-batch_size // _STEP) * _STEP


def lanes(paths: Sequence[str], mostly_kept: bool) -> list[tuple[int, list[str]]]:
    """Shards that are read one after the other, numbered.

    Args:
        paths: All shards.
        mostly_kept: Whether only few of their items go through the encoder.

    Example:
        >>> lanes(["a", "b"], mostly_kept=False)
        [(0, ['a']), (1, ['b'])]
        >>> lanes(["a", "b"], mostly_kept=True)
        [(0, ['a', 'b'])]
    """
    size = _SHARDS_PER_LANE if mostly_kept else 1
    starts = range(0, len(paths), size)
    return [(n, list(paths[at : at + size])) for n, at in enumerate(starts)]


@dataclass(frozen=True)
class Batch:
    """Items to encode.

    Attributes:
        key: Name of their unit of work.
        items: What the encoder takes.
    """

    key: str
    items: EncoderInputs

    def __len__(self) -> int:
        return len(self.items)


class EncodeShards(beam.PTransform):
    """Lanes of item records -> blocks of vectors in the job's work.

    Reading, encoding and writing stay together, so that pictures never travel, with
    resource hints neither.

    Args:
        folder: The encoder's SavedModel.
        facts: Per modality, the names of its `inputs`, and of its `vector` and
            `present` tensors.
        size: Items per call of the encoder.
        work: The job's work.
        previous: Catalog whose vectors unchanged items keep.
    """

    def __init__(
        self, folder: str, facts: Facts, size: int, work: Work, previous: str | None
    ) -> None:
        super().__init__()
        self._encoding = EncodeItems(folder, facts, size)
        self._batching = _Batches(facts, size, work, previous)
        self._work = work

    def expand(self, lanes: Any) -> Any:
        """The steps."""
        return (
            lanes
            | "Batches" >> beam.ParDo(self._batching)
            | "Encode" >> RunInference(self._encoding.with_no_batching())
            | "Write" >> beam.Map(write_block, self._work)
        )


class EncodeItems(ModelHandler[Batch, tuple[str, Block], Any]):
    """Runs `encode_item` on batches of items that are ready-made.

    Beam's own TensorFlow handlers need tensorflow_hub and cannot open a SavedModel
    under Keras 3.

    Args:
        folder: The SavedModel.
        facts: Per modality, the names of its `inputs`, and of its `vector` and
            `present` tensors.
        size: Items per call of the encoder.
    """

    def __init__(self, folder: str, facts: Facts, size: int) -> None:
        super().__init__()
        self._folder, self._facts, self._size = folder, facts, size

    def load_model(self) -> "Encoder":
        """The encoder, which is opened when there is something to encode."""
        return Encoder(self._folder)

    def run_inference(
        self,
        batch: Batch,
        model: "Encoder",
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[tuple[str, Block]]:
        """Encodes items, two calls of the encoder at a time, in their order.

        While one call decodes pictures on one core another's tower uses the rest.
        """
        encode = model.signature()
        items, starts = batch.items, range(0, len(batch), self._size)
        parts = [items[start : start + self._size] for start in starts]
        with ThreadPoolExecutor(_CALLS_AT_A_TIME) as pool:
            calls = pool.map(lambda part: self._encoded(part.media, encode), parts)
            yield batch.key, _block(items, self._facts, end_to_end(list(calls)))

    def _encoded(
        self, media: Mapping[str, Sequence[bytes]], encode: Any
    ) -> dict[str, VectorTable]:
        """Quantised vectors per modality; the call is filled up to its full size."""
        import tensorflow as tf

        count = len(next(iter(media.values())))
        filler = [b""] * (self._size - count)
        full = {
            name: tf.constant([*data, *filler], tf.string)
            for name, data in media.items()
        }
        found = {name: data.numpy()[:count] for name, data in encode(**full).items()}
        tables = {}
        for name, fact in self._facts.items():
            table = quantise(found[fact["vector"]])
            present = table.present & found[fact["present"]]
            tables[name] = VectorTable(
                np.where(present[:, None], table.codes, np.int8(0)),
                np.where(present, table.inverse_norm, np.float32(0)),
                present,
            )
        return tables

    def get_num_bytes(self, batch: Batch) -> int:
        """Size of the media, for Beam's metrics."""
        return sum(sum(map(len, data)) for data in batch.items.media.values())

    def get_metrics_namespace(self) -> str:
        """Where Beam puts its own metrics of the inference."""
        return "tfmm_encode_items"


class Encoder:
    """A SavedModel that is opened at its first use; once per worker.

    Args:
        folder: The SavedModel.
    """

    def __init__(self, folder: str) -> None:
        self._folder, self._lock = folder, threading.Lock()
        self._model: Any = None

    def signature(self) -> Any:
        """The function that encodes items."""
        with self._lock:
            if self._model is None:
                import tensorflow as tf
                import tensorflow_text  # noqa: F401  (registers its operations)

                place = str(files.fetched_tree(self._folder))
                self._model = tf.saved_model.load(place)
        return self._model.signatures[SIGNATURE]


class _Batches(beam.DoFn):
    """The items of a lane to encode, in batches; of the others only their rows."""

    def __init__(
        self, facts: Facts, size: int, work: Work, previous: str | None
    ) -> None:
        self._facts, self._work, self._previous = facts, work, previous
        self._size = _CALLS * size
        self._earlier = NOTHING.digests

    def setup(self) -> None:
        """Opens what the earlier run saw."""
        if self._previous is not None:
            self._earlier = earlier_digests(self._previous)

    def process(self, lane: tuple[int, list[str]]) -> Iterator[Batch]:
        """Batches of what is new; writes blocks of what is not."""
        number, paths = lane
        for place, items in enumerate(rebatched(self._new(number, paths), self._size)):
            key = f"vectors-{number:05d}-{place:06d}"
            if not self._work.is_done(key):
                yield Batch(key, items)

    def _new(self, number: int, paths: list[str]) -> Iterator[EncoderInputs]:
        records = itertools.chain.from_iterable(map(files.records, paths))
        inputs = _inputs(self._facts)
        for place in itertools.count():
            if not (some := list(islice(records, self._size))):
                return
            items = inputs_of(some, inputs)
            kept = unchanged(items, self._earlier)
            key = f"kept-{number:05d}-{place:06d}"
            if kept.any() and not self._work.is_done(key):
                write_block((key, _block(items[kept], self._facts)), self._work)
            yield items[~kept]


def _block(items: EncoderInputs, facts: Facts, tables: Tables | None = None) -> Block:
    given = {name: items.given(fact["inputs"]) for name, fact in facts.items()}
    return Block(items.rows, items.digests, given, tables)


def _inputs(facts: Facts) -> list[str]:
    """The encoder's inputs, each once."""
    return sorted({name for fact in facts.values() for name in fact["inputs"]})
