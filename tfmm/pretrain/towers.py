"""Which tower encodes which part of a pair batch."""

from collections.abc import Callable, Container, Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.pretrain.encode import encode_parts
from tfmm.pretrain.pair_batch import (
    Batch,
    item_modalities,
    item_rows,
    negative_rows,
    present,
    task_rows,
)
from tfmm.pretrain.task import FUSED_OF, MODALITIES, Task, parts_of

Towers = Mapping[str, Callable[..., Any]]
# By (tower, part of the batch), bool [B]: the rows that the tower is to encode.
Wanted = dict[tuple[str, str], tf.Tensor]


def check_encoders(**given: Any) -> dict[str, Any]:
    """The encoders given, by modality; `TfmmError` if there is none or a wrong one.

    Args:
        **given: An encoder or `None` each: `image`, `text`, `vector` and `fusion`.
    """
    encoders = {}
    for argument, encoder in given.items():
        if encoder is None:
            continue
        modality = "fused" if argument == "fusion" else argument
        if (found := getattr(encoder, "modality", None)) != modality:
            raise TfmmError(
                f"`{argument}=` takes an encoder of that modality. Received: "
                f"{encoder!r} of modality {found!r}. Pass it under its own name."
            )
        encoders[modality] = encoder
    if not encoders:
        raise TfmmError(
            "An encoder is needed. Received: none. Pass `image=`, `text=`, `vector=` "
            "or several."
        )
    return encoders


def item_towers(tasks: Sequence[Task]) -> tuple[str, ...]:
    """The towers that embed items, the parts of a fused vector included.

    Example:
        >>> item_towers([Task("text", "fused")])
        ('image', 'text', 'fused')
    """
    items = item_modalities(tasks)
    used = {*items, *(part for name in items for part in parts_of(name))}
    return tuple(name for name in MODALITIES if name in used)


def own_query_towers(tasks: Sequence[Task]) -> dict[str, str]:
    """Directions whose queries need a tower beside the encoder's, with its modality.

    They are those across modalities whose query's encoder embeds items too.

    Example:
        >>> own_query_towers([Task("text", "image"), Task("text", "text")])
        {'text_to_image': 'text'}
        >>> own_query_towers([Task("text", "image")])
        {}
    """
    items = item_towers(tasks)
    return {
        task.direction: task.query
        for task in tasks
        if task.query != task.item and task.query in items
    }


def query_tower(task: Task, own: Container[str]) -> str:
    """The name of the tower that encodes a task's queries."""
    return task.direction if task.direction in own else task.query


def wanted_items(tasks: Sequence[Task], batch: Batch) -> Wanted:
    """The items that are a positive of any task."""
    return {
        (name, "item"): item_rows(tasks, name, batch) for name in item_modalities(tasks)
    }


def wanted_rows(
    tasks: Sequence[Task], own: Container[str], batch: Batch, hard: bool
) -> Wanted:
    """All that the losses compare, each row once even if several tasks share it.

    Args:
        tasks: The tasks.
        own: Directions whose queries have a tower of their own.
        batch: The pair batch.
        hard: Whether hard negatives are wanted.
    """
    wanted: Wanted = {}
    for task in tasks:
        _want(wanted, query_tower(task, own), "query", task_rows(task, batch))
    wanted |= wanted_items(tasks, batch)
    if hard:
        for name in item_modalities(tasks):
            wanted[name, "negative"] = negative_rows(tasks, name, batch)
    return wanted


def encode_wanted(
    towers: Towers,
    wanted: Wanted,
    batch: Batch,
    chunk_size: int | None = None,
    **options: Any,
) -> Wanted:
    """Encodes rows, each tower called once; of fused vectors first their parts.

    Args:
        towers: By name: a modality, or a direction `<query>_to_<item>`.
        wanted: The rows each is to encode.
        batch: The pair batch.
        chunk_size: As of `encode_parts`.
        **options: Further arguments of the towers, e.g. `training`.

    Returns:
        For each key of `wanted` float32 `[B, d]`, zeros in other rows.
    """
    fused = {key: rows for key, rows in wanted.items() if _modality(key[0]) == "fused"}
    alone = {key: rows for key, rows in wanted.items() if key not in fused}
    for (_, part), rows in fused.items():
        for name in FUSED_OF:
            _want(alone, name, part, rows & present(part, name, batch))
    vectors: Wanted = {}
    for tower in dict.fromkeys(name for name, _ in alone):
        parts = {
            part: (batch[f"{part}_{_modality(tower)}"], rows)
            for (name, part), rows in alone.items()
            if name == tower
        }
        encoded = encode_parts(towers[tower], parts, chunk_size=chunk_size, **options)
        vectors |= {(tower, part): rows for part, rows in encoded.items()}
    for tower in dict.fromkeys(name for name, _ in fused):
        parts = {
            part: (_fusion_inputs(part, vectors, batch), rows)
            for (name, part), rows in fused.items()
            if name == tower
        }
        encoded = encode_parts(towers[tower], parts, chunk_size=chunk_size, **options)
        vectors |= {(tower, part): rows for part, rows in encoded.items()}
    return vectors


def _want(wanted: Wanted, tower: str, part: str, rows: tf.Tensor) -> None:
    before = wanted.get((tower, part))
    wanted[tower, part] = rows if before is None else before | rows


def _modality(tower: str) -> str:
    return tower.partition("_to_")[0]


def _fusion_inputs(part: str, vectors: Wanted, batch: Batch) -> list[tf.Tensor]:
    there = [present(part, name, batch) for name in FUSED_OF]
    return [*(vectors[name, part] for name in FUSED_OF), *there]
