"""Turns item records into a catalog of vectors, with the trained encoders."""

import json
from collections.abc import Sequence
from typing import Any

import apache_beam as beam
from apache_beam.transforms.resources import parse_resource_hints

from beam_jobs import command, files
from beam_jobs.earlier_vectors import DIGESTS, NOTHING, earlier_of
from beam_jobs.encode_items import EncodeShards, call_size, lanes
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.kernels.vector_blocks import assemble
from beam_jobs.vector_files import blocks_of
from tfmm.catalog import Catalog
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex

FACTS = "assets.extra/encoder.json"
_BASE_BYTES = 1_500 * 2**20


def run(
    items: str,
    encoder: str,
    index: str,
    output: str,
    batch_size: int = 256,
    previous: str | None = None,
    accelerator: str | None = None,
    min_ram: str | None = None,
    control: Control = DEFAULT,
    pipeline_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes a catalog; returns its manifest.

    The catalog has one row per row of the index: items without records, without media
    or with media that the encoder cannot read are absent, and counted. Its source per
    modality is the encoder's id, so that another encoder gives another fingerprint.

    With `previous`, items whose picture and title are what they were keep their
    vectors, and only the others are encoded. The catalog is the one that a full run
    gives, byte for byte, where both ran on CPUs alike and with one `batch_size`. With
    another encoder all items are encoded.

    Args:
        items: Folder of the item records.
        encoder: Folder of a SavedModel that `save_item_encoder` wrote.
        index: Folder of the item index.
        output: Folder of the catalog; workers must reach it.
        batch_size: Items per call of the encoder; taken in steps of 16.
        previous: Folder of the catalog of an earlier run; may be `output`.
        accelerator: The workers' accelerator, in the words of the runner, such as
            `type:nvidia-tesla-t4;count:1;install-nvidia-driver`.
        min_ram: The workers' memory at least, such as `8GB`.
        control: How the job runs.
        pipeline_args: Flags for Beam.

    Raises:
        TfmmError: If an input is missing or belongs to another index, or no item has
            any media.
    """
    files.use_flags(pipeline_args)
    if batch_size < 1:
        raise TfmmError(
            f"`batch_size` must be positive. Received: {batch_size}. Try 256."
        )
    hints = _hints(accelerator=accelerator, min_ram=min_ram)
    rows = ItemIndex.open(files.fetched(index))
    made = files.manifest(items, kind="items")
    rows.check(made["index"], f"`{items}`")
    facts = _encoder_facts(encoder)
    sources = {name: fact["id"] for name, fact in facts.items()}
    earlier = earlier_of(previous, rows, sources) if previous else NOTHING
    size = call_size(batch_size)
    job = Job(
        "embed_items",
        output,
        folders=(items, index, *([previous] if previous else [])),
        arguments={"encoder": facts, "call_size": size},
        control=control,
        pipeline_args=pipeline_args,
        base_bytes=_BASE_BYTES,
    )
    if job.said():
        return {}
    with job.running() as running:
        names = sorted(x for x in made["files"] if x.endswith(".tfrecord"))
        paths = [files.join(items, name) for name in names]
        kept = None if earlier.others else previous
        encode = EncodeShards(encoder, facts, size, running.work, kept)
        _ = (
            running.pipeline
            | "Shards" >> beam.Create(lanes(paths, kept is not None))
            | "Spread" >> beam.Reshuffle()
            | "Items" >> encode.with_resource_hints(**hints)
        )
        running.finish()
        widths = {name: fact["dimension"] for name, fact in facts.items()}
        found = assemble(blocks_of(running.work), widths, rows.rows, earlier.tables)
        counts = found.counts(earlier.digests)
        if earlier.others:
            counts["other_encoder"] = earlier.others
        if not counts["written"]:
            raise TfmmError(
                "No item has a picture or title that the encoder can read. Received: "
                f"{counts}. Check the item records."
            )
        with running.saving() as folder:
            catalog = Catalog(rows, found.tables, sources, counts)
            catalog.save(folder, beside={DIGESTS: found.digests})
        return running.manifest()


def _hints(**given: str | None) -> dict[str, str]:
    """The resource hints that are given, checked.

    Raises:
        TfmmError: If Beam cannot read one.
    """
    hints = {name: value for name, value in given.items() if value is not None}
    try:
        parse_resource_hints(hints)
    except ValueError as error:
        raise TfmmError(
            "The workers' resources are not understood. Expected: an accelerator such "
            "as type:nvidia-tesla-t4;count:1;install-nvidia-driver, memory such as "
            f"8GB. Received: {hints}. {error}"
        ) from error
    return hints


def _encoder_facts(folder: str) -> dict[str, dict[str, Any]]:
    path = files.join(folder, FACTS)
    if files.facts(path) is None:
        raise TfmmError(
            f"`{folder}` is no item encoder. Received: no {FACTS}. Write it with "
            "`tfmm.encoders.save_item_encoder`."
        )
    return json.loads(files.read(path))["modalities"]


def _arguments() -> Any:
    arguments = command.parser(
        __doc__,
        name="embed_items",
        reads="item records; the SavedModel of the encoders; the item index",
        writes="a catalog: a vector of every item and modality, quantised",
        example="--items out/items --encoder out/encoder --index out/index --output "
        "out/catalog",
    )
    arguments.add_argument("--items", required=True, help="folder of the item records")
    arguments.add_argument(
        "--encoder", required=True, help="folder of the encoders' SavedModel"
    )
    arguments.add_argument("--index", required=True, help="folder of the item index")
    arguments.add_argument("--output", required=True, help="folder of the catalog")
    arguments.add_argument(
        "--batch_size", type=int, default=256, help="items per call of the encoder"
    )
    arguments.add_argument(
        "--previous",
        metavar="CATALOG",
        help="catalog of an earlier run: items without a change keep its vectors",
    )
    arguments.add_argument(
        "--accelerator",
        help="of the workers: type:nvidia-tesla-t4;count:1;install-nvidia-driver",
    )
    arguments.add_argument("--min_ram", help="of the workers, such as 8GB")
    return arguments


def _said(manifest: dict[str, Any]) -> str:
    counts = manifest["counts"]
    text = (
        f"embed_items: {command.counted(counts, 'items')}; {counts['encoded']:,} "
        f"encoded, {counts['taken_over']:,} taken over ({counts['changed']:,} changed, "
        f"{counts['gone']:,} gone)"
    )
    if others := counts.get("other_encoder"):
        text += f"; another encoder of {', '.join(others)}, so all were encoded"
    return f"{text}. Next: tfmm.Catalog.open"


if __name__ == "__main__":
    command.main(_arguments(), run, _said)
