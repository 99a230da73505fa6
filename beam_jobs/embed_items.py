"""Turns item records into a catalog of vectors, with the trained encoders."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler, RunInference

from beam_jobs import command, files
from beam_jobs.counters import count, table_counts
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.kernels.vector_blocks import Block, assemble
from beam_jobs.vector_files import blocks_of, write_block
from tfmm.catalog import Catalog, VectorTable, quantise
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex

SIGNATURE = "encode_item"
FACTS = "assets.extra/encoder.json"
# The encoder's inputs, and where an item record keeps them.
_FIELDS = {"image_bytes": "image", "title": "title"}
# A batch of Beam's is this many calls of the encoder; two run at a time.
_CALLS, _CALLS_AT_A_TIME = 8, 2
_BASE_BYTES = 1_500 * 2**20
_ABSENT, _UNREADABLE = "absent", "unreadable"

Facts = Mapping[str, Mapping[str, Any]]


def run(
    items: str,
    encoder: str,
    index: str,
    output: str,
    batch_size: int = 256,
    control: Control = DEFAULT,
    pipeline_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes a catalog; returns its manifest.

    The catalog has one row per row of the index: items without records, without media
    or with media that the encoder cannot read are absent, and counted. Its source per
    modality is the encoder's id, so that another encoder gives another fingerprint.

    Args:
        items: Folder of the item records.
        encoder: Folder of a SavedModel that `save_item_encoder` wrote.
        index: Folder of the item index.
        output: Folder of the catalog; workers must reach it.
        batch_size: Items per call of the encoder.
        control: How the job runs.
        pipeline_args: Flags for Beam.

    Raises:
        TfmmError: If an input is missing or belongs to another index, or no item has
            any media.
    """
    if batch_size < 1:
        raise TfmmError(
            f"`batch_size` must be positive. Received: {batch_size}. Try 256."
        )
    rows = ItemIndex.open(files.fetched(index))
    made = files.manifest(items, kind="items")
    rows.check(made["index"], f"`{items}`")
    facts = _encoder_facts(encoder)
    job = Job(
        "embed_items",
        output,
        folders=(items, index),
        arguments={"encoder": facts},
        control=control,
        pipeline_args=pipeline_args,
        base_bytes=_BASE_BYTES,
    )
    if job.said():
        return {}
    with job.running() as running:
        shards = sorted(x for x in made["files"] if x.endswith(".tfrecord"))
        _ = (
            running.pipeline
            | "Shards" >> beam.Create([files.join(items, name) for name in shards])
            | "Spread" >> beam.Reshuffle()
            | "Batches" >> beam.FlatMap(_batches, _CALLS * batch_size)
            | "Encode"
            >> RunInference(EncodeItems(encoder, facts, batch_size).with_no_batching())
            | "Write" >> beam.Map(write_block, running.work)
        )
        found = running.finish()
        counts = table_counts(found, "items")
        widths = {name: fact["dimension"] for name, fact in facts.items()}
        tables = assemble(blocks_of(running.work), widths, rows.rows, counts["read"])
        counts["modalities"] = {name: table_counts(found, name) for name in facts}
        if not counts["written"]:
            raise TfmmError(
                "No item has a picture or title that the encoder can read. Received: "
                f"{counts}. Check the item records."
            )
        sources = {name: fact["id"] for name, fact in facts.items()}
        with running.saving() as folder:
            Catalog(rows, tables, sources, counts).save(folder)
        return running.manifest()


class EncodeItems(ModelHandler[Sequence[bytes], Block, Any]):
    """Runs `encode_item` on batches of item records that are ready-made.

    Beam's own TensorFlow handlers need tensorflow_hub and cannot open a SavedModel
    under Keras 3.

    Args:
        folder: The SavedModel.
        facts: Per modality, the names of its `inputs`, and of its `vector` and
            `present` tensors.
        batch_size: Items per call of the encoder.
    """

    def __init__(self, folder: str, facts: Facts, batch_size: int) -> None:
        super().__init__()
        self._folder, self._facts, self._batch_size = folder, facts, batch_size

    def load_model(self) -> Any:
        """Opens the SavedModel; once per worker."""
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

        return tf.saved_model.load(self._folder)

    def run_inference(
        self,
        batch: Sequence[bytes],
        model: Any,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Block]:
        """Encodes records, two calls of the encoder at a time, in their order.

        While one call decodes pictures on one core another's tower uses the rest.
        """
        starts = range(0, len(batch), self._batch_size)
        parts = [batch[start : start + self._batch_size] for start in starts]
        with ThreadPoolExecutor(_CALLS_AT_A_TIME) as pool:
            encoded = pool.map(lambda part: _encode(part, model, self._facts), parts)
            for rows, given, tables in encoded:
                _count(given, tables, self._facts)
                yield Block(rows, tables)

    def get_num_bytes(self, batch: Sequence[bytes]) -> int:
        """Size of the records, for Beam's metrics."""
        return sum(map(len, batch))

    def get_metrics_namespace(self) -> str:
        """Where Beam puts its own metrics of the inference."""
        return "tfmm_encode_items"


def _inputs(facts: Facts) -> list[str]:
    """The encoder's inputs, each once."""
    return list(
        dict.fromkeys(name for fact in facts.values() for name in fact["inputs"])
    )


def _parse(records: Sequence[bytes], inputs: Sequence[str]) -> tuple[np.ndarray, Any]:
    """Catalog rows int64 `[B]`, and the encoder's inputs, string `[B]` each."""
    import tensorflow as tf

    features = {"row": tf.io.FixedLenFeature([], tf.int64)}
    for name in inputs:
        features[_FIELDS[name]] = tf.io.FixedLenFeature([], tf.string, "")
    found = tf.io.parse_example(tf.constant(records, tf.string), features)
    return found["row"].numpy(), {name: found[_FIELDS[name]] for name in inputs}


def _given(media: Any) -> np.ndarray:
    """Which strings of a tensor are not empty, bool `[B]`."""
    import tensorflow as tf

    return tf.strings.length(media).numpy() > 0


def _encode(
    records: Sequence[bytes], model: Any, facts: Facts
) -> tuple[np.ndarray, dict[str, np.ndarray], dict[str, VectorTable]]:
    """Rows, which inputs are given, and quantised vectors per modality."""
    rows, media = _parse(records, _inputs(facts))
    found = model.signatures[SIGNATURE](**media)
    given = {name: _given(data) for name, data in media.items()}
    tables = {}
    for name, fact in facts.items():
        table = quantise(found[fact["vector"]].numpy())
        present = table.present & found[fact["present"]].numpy()
        tables[name] = VectorTable(
            np.where(present[:, None], table.codes, np.int8(0)),
            np.where(present, table.inverse_norm, np.float32(0)),
            present,
        )
    return rows, given, tables


def _count(
    given: Mapping[str, np.ndarray], tables: Mapping[str, VectorTable], facts: Facts
) -> None:
    """Counts items without a vector; those without any of its media apart."""
    for name, table in tables.items():
        media = np.any([given[part] for part in facts[name]["inputs"]], axis=0)
        count(f"{name}:read", len(media))
        count(f"{name}:dropped:{_ABSENT}", int((~media).sum()))
        unreadable = media & ~table.present
        count(f"{name}:dropped:{_UNREADABLE}", int(unreadable.sum()))
    anything = np.any([table.present for table in tables.values()], axis=0)
    count("items:read", len(anything))
    count("items:dropped:no_media", int((~anything).sum()))


def _encoder_facts(folder: str) -> dict[str, dict[str, Any]]:
    path = Path(folder) / FACTS
    if not path.is_file():
        raise TfmmError(
            f"`{folder}` is no item encoder. Received: no {FACTS}. Write it with "
            "`tfmm.encoders.save_item_encoder`."
        )
    return json.loads(path.read_text(encoding="utf-8"))["modalities"]


def _batches(path: str, batch_size: int) -> Iterator[list[bytes]]:
    """The records of a shard, in its order, a batch at a time."""
    records = files.records(path)
    while batch := list(islice(records, batch_size)):
        yield batch


def _arguments() -> Any:
    arguments = command.parser(__doc__)
    arguments.add_argument("--items", required=True, help="folder of the item records")
    arguments.add_argument(
        "--encoder", required=True, help="folder of the encoders' SavedModel"
    )
    arguments.add_argument("--index", required=True, help="folder of the item index")
    arguments.add_argument("--output", required=True, help="folder of the catalog")
    arguments.add_argument(
        "--batch_size", type=int, default=256, help="items per call of the encoder"
    )
    return arguments


def _said(manifest: dict[str, Any]) -> str:
    return (
        f"embed_items: {command.counted(manifest['counts'], 'items')}. Next: "
        "tfmm.Catalog.open"
    )


if __name__ == "__main__":
    command.main(_arguments(), run, _said)
