"""The towers that a recipe asks for."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tfmm
from tfmm.records.example import decode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest
from tfmm.records.tfrecord import read_records
from tfmm.road.pretrain_recipe import ImageTower, TextTower, VectorTower
from tfmm.road.road import Road

# Where item records hold words, and where their manifest counts them.
TITLES = {"title": "titles", "more_titles": "more_titles"}


def towers(road: Road) -> dict[str, Any]:
    """The encoders of the modalities in use, by the names that `SCL` takes them by."""
    settings = road.recipe.pretrain
    assert settings is not None
    found: dict[str, Any] = {}
    if settings.image:
        found["image"] = _image(settings.image)
    if settings.text:
        found["text"] = _text(road, settings.text)
    for name in ("image", "text"):
        tower = getattr(settings, name)
        if tower and tower.freeze == "backbone":
            found[name].freeze_backbone()
        elif tower and tower.freeze:
            found[name].freeze(tower.freeze)
    if settings.vector:
        found["vector"] = _vector(road, settings.vector)
    if settings.fused:
        found["fusion"] = tfmm.encoders.fusion(
            found["image"], found["text"], dimension=settings.fused.dimension
        )
    return found


def rates(road: Road, encoders: dict[str, Any]) -> dict[str, float]:
    """Multiples of the learning rate of what was trained before; see `AdamW`."""
    found = {}
    for name in ("image", "text"):
        tower = getattr(road.recipe.pretrain, name)
        if tower and tower.preset and _trains_backbone(encoders[name]):
            found[f"{encoders[name].tower.name}/backbone"] = tower.backbone_rate
    return found


def titles(folder: Path, parts: Sequence[str] = tuple(TITLES)) -> Iterator[bytes]:
    """The titles of all items, those in further languages included.

    Args:
        folder: The item records.
        parts: Which: `title`, `more_titles` or both.
    """
    for name in sorted(read_manifest(folder, kind="items")["files"]):
        if name.endswith(".tfrecord"):
            for record in read_records(folder / name):
                item = decode(record)
                for part in parts:
                    yield from item.get(part, [])


def unknown_shares(text: Any, folder: Path) -> dict[str, float]:
    """Share of tokens without a piece of the vocabulary, by `title` and `more_titles`.

    A language that the vocabulary was learnt without shows here. What no item has is
    left out.

    Args:
        text: The text encoder.
        folder: The item records.
    """
    manifest = read_manifest(folder, kind="items")
    counts = {part: manifest[name] for part, name in TITLES.items()}
    there = [
        part for part, n in counts.items() if n["written"] or n.get("from_further")
    ]
    return {part: text.unknown_share(titles(folder, [part])) for part in there}


def _trains_backbone(encoder: Any) -> bool:
    return any(
        stage.backbone and any(layer.trainable_weights for layer in stage.layers)
        for stage in encoder.tower.stages
    )


def _image(tower: ImageTower) -> Any:
    if tower.preset:
        return tfmm.encoders.image_from_preset(
            tower.preset, dimension=tower.dimension, image_size=tower.image_size
        )
    return tfmm.encoders.image(
        **_given(size=tower.size, image_size=tower.image_size),
        dimension=tower.dimension,
    )


def _text(road: Road, tower: TextTower) -> Any:
    if tower.preset:
        return tfmm.encoders.text_from_preset(
            tower.preset,
            dimension=tower.dimension,
            sequence_length=tower.sequence_length,
        )
    return tfmm.encoders.text(
        **_given(
            size=tower.size,
            sequence_length=tower.sequence_length,
            vocabulary_size=tower.vocabulary_size,
        ),
        titles=titles(road.path("items")),
        dimension=tower.dimension,
    )


def _vector(road: Road, tower: VectorTower) -> Any:
    folder = road.recipe.folder
    return tfmm.encoders.vectors(
        folder / tower.file,
        ids=tower.ids if tower.is_parquet or not tower.ids else folder / tower.ids,
        index=ItemIndex.open(road.path("index")),
        dimension=tower.dimension,
        projection=tower.projection,
    )


def _given(**settings: Any) -> dict[str, Any]:
    """The settings that a recipe makes; the encoders know the others' defaults."""
    return {name: value for name, value in settings.items() if value is not None}
