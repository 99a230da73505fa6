"""What the towers find on the test pairs: overall, by slice, and by attribute."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfmm import tables
from tfmm.data.item_media import record_files
from tfmm.errors import TfmmError
from tfmm.pretrain.embedded import Embedded
from tfmm.pretrain.probe import Probe, neighbour_probe, zero_shot_probe
from tfmm.pretrain.slices import SliceTable, band_names, frequency_bands, slice_table
from tfmm.records.index import ItemIndex
from tfmm.schema import Schema

LARGEST = (1, 5, 10)
# Values of an attribute that have a line of their own, or words of their own.
SLICES, PROMPTS = 12, 100
# By attribute, the value of each catalog row; "" where there is none.
Attributes = Mapping[str, np.ndarray]


def retrieval_facts(
    scl: Any,
    found: Mapping[str, Embedded],
    attributes: Attributes,
    trained_items: np.ndarray,
) -> dict[str, Any]:
    """What `encoders/retrieval.json` says of each task.

    Args:
        scl: The `SCL` model.
        found: From `embed_pairs`, on the test pairs.
        attributes: From `item_attributes`.
        trained_items: int `[P]`, the catalog row of each training pair's item.
    """
    facts = {}
    for task in scl.tasks:
        embedded = found[task.name]
        facts[task.name] = {
            "task": str(task),
            "queries": len(embedded.queries),
            "candidates": len(embedded.candidates),
        }
        if len(embedded.queries):
            slices = _slices(embedded, attributes, trained_items)
            probes = _probes(scl, task, embedded, attributes)
            facts[task.name] |= {
                "numbers": embedded.numbers(k=LARGEST),
                "slices": [_of_slices(table) for table in slices],
                "probes": [{"kind": kind, **vars(probe)} for kind, probe in probes],
            }
    return facts


def item_attributes(schema: Schema, index: ItemIndex) -> Attributes:
    """The categorical features of the items table, by catalog row.

    Args:
        schema: The shop's.
        index: Its item index.
    """
    table = schema.items
    kinds = {} if table is None else table.features
    names = [name for name, kind in kinds.items() if kind == "categorical"]
    found = {name: np.full(index.rows, "", object) for name in names}
    if table is None or not names:
        return found
    roles = ["id", *(f"features:{name}" for name in names)]
    for part in tables.parts(table, schema.folder):
        for chunk, _ in tables.read(table, part, schema.time_unit, roles):
            rows = index.rows_of(chunk["id"].to_pylist())
            for name in names:
                values = chunk[f"features:{name}"].to_pylist()
                found[name][rows] = [value or "" for value in values]
    return found


def items_of_pairs(folder: Path) -> np.ndarray:
    """int64 `[P]`: the catalog row of each pair's item."""
    feature = {"item": tf.io.FixedLenFeature([], tf.int64)}
    records = tf.data.TFRecordDataset(record_files(folder, "pairs")).batch(4096)
    read = records.map(lambda some: tf.io.parse_example(some, feature)["item"])
    parts = list(read.as_numpy_iterator())
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)


def _slices(
    embedded: Embedded, attributes: Attributes, trained_items: np.ndarray
) -> Iterable[SliceTable]:
    bands = frequency_bands(embedded.items, trained_items)
    yield slice_table(
        embedded.ranks, bands, "training pairs of the item", order=band_names()
    )
    for name, values in attributes.items():
        labels = values[embedded.items].tolist()
        table = slice_table(embedded.ranks, labels, name)
        if len(table.slices) > 1:
            yield table


def _probes(
    scl: Any,
    task: Any,
    embedded: Embedded,
    attributes: Attributes,
) -> Iterable[tuple[str, Probe]]:
    groups = embedded.candidate_groups
    for name, values in attributes.items():
        labels = values[embedded.candidate_items].tolist()
        known = sorted(set(labels) - {""})
        if len(known) < 2:
            continue
        vectors = embedded.candidates
        try:
            probe = neighbour_probe(vectors, labels, 1, name, groups)
        except TfmmError:  # All the items that have a value are one group.
            continue
        yield "neighbours", probe
        if task.query == "text" and len(known) <= PROMPTS:
            prompts = _prompts(scl.query_encoder(task.name), known)
            yield "words", zero_shot_probe(vectors, labels, prompts, name)


def _prompts(encoder: Any, values: Sequence[str]) -> dict[str, np.ndarray]:
    """The values' own words, as the task's queries see them."""
    tokens = encoder.preprocess(tf.constant(list(values)))
    return dict(zip(values, np.asarray(encoder.tower(tokens)), strict=True))


def _of_slices(table: SliceTable) -> dict[str, Any]:
    shown = table.slices[:SLICES]
    return {
        "column": table.column,
        "more": len(table.slices) - len(shown),
        "slices": [
            {
                "label": part.label,
                "queries": part.queries,
                **{f"acc@{n}": value for n, value in part.accuracy.items()},
            }
            for part in (*shown, table.total)
        ],
    }
