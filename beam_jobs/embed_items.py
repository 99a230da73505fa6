"""Turns item records into a catalog of vectors, with the trained encoders."""

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam
import numpy as np
from apache_beam.ml.inference.base import ModelHandler, RunInference

from beam_jobs import common
from beam_jobs.kernels.vector_blocks import Block, assemble, write_block
from tfmm.catalog import Catalog, VectorTable, quantise
from tfmm.errors import TfmmError
from tfmm.records.example import decode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest
from tfmm.records.tfrecord import read_records

SIGNATURE = "encode_item"
FACTS = "assets.extra/encoder.json"
_FIELDS = {"image": "image", "text": "title"}
_ABSENT, _UNREADABLE = "absent", "unreadable"

Item = tuple[int, dict[str, bytes]]
Facts = Mapping[str, Mapping[str, Any]]


def run(
    items: str,
    encoder: str,
    index: str,
    output: str,
    batch_size: int = 256,
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
        output: Folder of the catalog; workers must reach the folder it stands in.
        batch_size: Items per call of the encoder.
        pipeline_args: Flags for Beam.

    Raises:
        TfmmError: If an input is missing or belongs to another index, or no item has
            any media.
    """
    if batch_size < 1:
        raise TfmmError(
            f"`batch_size` must be positive. Received: {batch_size}. Try 256."
        )
    rows = ItemIndex.open(index)
    rows.check(read_manifest(items, kind="items")["index"], f"`{items}`")
    facts = _encoder_facts(encoder)
    place = Path(output).absolute()
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(
        prefix=f"{place.name}.blocks-", dir=place.parent
    ) as blocks:
        pipeline = beam.Pipeline(options=common.options(pipeline_args))
        shards = [str(path) for path in sorted(Path(items).glob("*.tfrecord"))]
        _ = (
            pipeline
            | "Shards" >> beam.Create(shards)
            | "Spread" >> beam.Reshuffle()
            | "Batches" >> beam.FlatMap(_batches, tuple(facts), batch_size)
            | "Encode" >> RunInference(EncodeItems(encoder, facts).with_no_batching())
            | "Write" >> beam.Map(write_block, blocks)
        )
        found = common.finished(pipeline)
        counts = common.table_counts(found, "items")
        widths = {name: fact["dimension"] for name, fact in facts.items()}
        tables = assemble(blocks, widths, rows.rows, counts["read"])
    counts["modalities"] = {name: common.table_counts(found, name) for name in facts}
    if not counts["written"]:
        raise TfmmError(
            "No item has a picture or title that the encoder can read. Received: "
            f"{counts}. Check the item records."
        )
    sources = {name: fact["id"] for name, fact in facts.items()}
    Catalog(rows, tables, sources, counts).save(output)
    return read_manifest(output)


class EncodeItems(ModelHandler[Sequence[Item], Block, Any]):
    """Runs `encode_item` on batches that are ready-made.

    Beam's own TensorFlow handlers need tensorflow_hub and cannot open a SavedModel
    under Keras 3.

    Args:
        folder: The SavedModel.
        facts: Per modality, its `input`, `vector` and `present` tensors' names.
    """

    def __init__(self, folder: str, facts: Facts) -> None:
        super().__init__()
        self._folder, self._facts = folder, facts

    def load_model(self) -> Any:
        """Opens the SavedModel; once per worker."""
        import tensorflow as tf
        import tensorflow_text  # noqa: F401  (registers the tokenizer's operations)

        return tf.saved_model.load(self._folder)

    def run_inference(
        self,
        batch: Sequence[Item],
        model: Any,
        inference_args: dict[str, Any] | None = None,
    ) -> Iterable[Block]:
        """Encodes one batch and counts what had no vector, and why."""
        import tensorflow as tf

        media = {name: [fields[name] for _, fields in batch] for name in self._facts}
        found = model.signatures[SIGNATURE](
            **{
                fact["input"]: tf.constant(media[name], tf.string)
                for name, fact in self._facts.items()
            }
        )
        tables = {}
        for name, fact in self._facts.items():
            table = quantise(found[fact["vector"]].numpy())
            present = table.present & found[fact["present"]].numpy()
            tables[name] = VectorTable(
                np.where(present[:, None], table.codes, np.int8(0)),
                np.where(present, table.inverse_norm, np.float32(0)),
                present,
            )
            _count_modality(name, media[name], present)
        common.count("items:read", len(batch))
        anything = np.any([table.present for table in tables.values()], axis=0)
        common.count("items:dropped:no_media", int((~anything).sum()))
        yield Block(np.array([row for row, _ in batch]), tables)

    def get_num_bytes(self, batch: Sequence[Item]) -> int:
        """Size of the media, for Beam's metrics."""
        return sum(len(data) for _, fields in batch for data in fields.values())

    def get_metrics_namespace(self) -> str:
        """Where Beam puts its own metrics of the inference."""
        return "tfmm_encode_items"


def _count_modality(name: str, media: Sequence[bytes], present: np.ndarray) -> None:
    given = np.array([bool(data) for data in media])
    common.count(f"{name}:read", len(media))
    common.count(f"{name}:dropped:{_ABSENT}", int((~given).sum()))
    common.count(f"{name}:dropped:{_UNREADABLE}", int((given & ~present).sum()))


def _encoder_facts(folder: str) -> dict[str, dict[str, Any]]:
    path = Path(folder) / FACTS
    if not path.is_file():
        raise TfmmError(
            f"`{folder}` is no item encoder. Received: no {FACTS}. Write it with "
            "`tfmm.encoders.save_item_encoder`."
        )
    return json.loads(path.read_text(encoding="utf-8"))["modalities"]


def _batches(
    path: str, modalities: Sequence[str], batch_size: int
) -> Iterator[list[Item]]:
    """The items of a shard, in its order, a batch at a time."""
    batch: list[Item] = []
    for record in read_records(path):
        features = decode(record)
        media = {name: _only(features.get(_FIELDS[name])) for name in modalities}
        batch.append((int(features["row"][0]), media))
        if len(batch) == batch_size:
            yield batch
            batch = []
    if batch:
        yield batch


def _only(values: Sequence[bytes] | None) -> bytes:
    return values[0] if values else b""


def _arguments() -> Any:
    arguments = common.parser(__doc__)
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


if __name__ == "__main__":
    common.main(_arguments(), run)
