"""Stages that train: the towers, the catalog, MAKE, the rankers."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfmm
import tfmm.ranking  # registers what load_model needs
from tfmm.records.example import decode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest, write_manifest, writing
from tfmm.records.tfrecord import read_records
from tfmm.records.vocabularies import Vocabularies
from tfmm.road.progress import Progress
from tfmm.road.recipe import VARIANTS, ImageTower, Make, Ranking, TextTower
from tfmm.road.road import Road


def pretrain(road: Road) -> None:
    """Trains the towers by SCL and saves them as encoders and as a SavedModel."""
    settings = road.recipe.pretrain
    assert settings is not None
    keras.utils.set_random_seed(road.recipe.seed)
    image = _image_encoder(settings.image) if settings.image else None
    text = _text_encoder(road, settings.text) if settings.text else None
    pairs, items = road.path("pairs"), road.path("items")
    augment = settings.image is not None and settings.image.augment
    train = tfmm.data.pairs(
        pairs / "train",
        items,
        image=image,
        text=text,
        batch_size=settings.batch_size,
        seed=road.recipe.seed,
        augment=tfmm.pretrain.augment_pictures if augment else None,
    )
    test = tfmm.data.pairs(
        pairs / "test",
        items,
        image=image,
        text=text,
        batch_size=settings.batch_size,
        shuffle=False,
    )
    scl = tfmm.SCL(
        image=image,
        text=text,
        tasks=settings.tasks,
        bank_size=settings.bank_size,
        momentum=settings.momentum,
        margin=settings.margin,
        triplet_weight=settings.triplet_weight,
    )
    steps = settings.epochs * len(train)
    scl.compile(
        optimizer=keras.optimizers.AdamW(_cosine(settings.learning_rate, steps))
    )
    history = scl.fit(
        train,
        epochs=settings.epochs,
        validation_data=test,
        shuffle=False,
        verbose=0,
        callbacks=[Progress(road.console, "SCL")],
    )
    with writing(road.path("encoders")) as tmp:
        for encoder in filter(None, (image, text)):
            encoder.save(tmp / encoder.modality)
        tfmm.encoders.save_item_encoder(tmp / "saved_model", image=image, text=text)
        _write_json(tmp / "history.json", history.history)
        counts = read_manifest(pairs)["parts"]
        write_manifest(
            tmp,
            kind="encoders",
            counts={"read": counts["train"], "written": counts["train"], "dropped": {}},
            tasks=[task.name for task in scl.tasks],
        )


def embed_items(road: Road) -> None:
    """The catalog: vectors of all items, from the towers or from the user."""
    vectors = road.recipe.vectors
    if vectors is None:
        from beam_jobs import embed_items as job

        job.run(
            str(road.path("items")),
            str(road.path("encoders", "saved_model")),
            str(road.path("index")),
            str(road.path("catalog")),
        )
        return
    folder = road.recipe.folder
    catalog = tfmm.Catalog.from_vectors(
        folder / vectors.ids if vectors.ids else None,
        folder / vectors.file,
        name=vectors.name,
        version=vectors.version,
        modality=vectors.modality,
        index=ItemIndex.open(road.path("index")),
    )
    catalog.save(road.path("catalog"))


def make(road: Road) -> None:
    """Trains MAKE on the multimodal vectors alone, several epochs."""
    keras.utils.set_random_seed(road.recipe.seed)
    model = tfmm.MAKE(open_catalog(road))
    _train(road, model, road.recipe.make, "MAKE", road.path("make", "make.keras"))


def rank(road: Road) -> None:
    """Trains the ID-only ranker and those with SimTier, MAKE and both."""
    catalog, vocabularies = open_catalog(road), open_vocabularies(road)
    settings = road.recipe.ranking
    for variant, added in VARIANTS.items():
        keras.utils.set_random_seed(road.recipe.seed)
        interests = [_make(road) if name == "make" else name for name in added]
        model = tfmm.RankingModel(
            vocabularies,
            catalog if added else None,
            interests=[*settings.interests, *interests],
            embedding_dim=settings.embedding_dim,
        )
        path = road.path("rankers", variant, "ranker.keras")
        _train(road, model, settings, variant, path)


def _make(road: Road) -> Any:
    return keras.models.load_model(road.path("make", "make.keras"))


def _train(
    road: Road, model: Any, settings: Make | Ranking, name: str, path: Path
) -> None:
    """Fits a model on the training requests and saves it with its history."""
    train = train_requests(road, settings.batch_size)
    rate = _cosine(settings.learning_rate, settings.epochs * len(train))
    model.compile(optimizer=tfmm.ranking.ranking_optimizer(rate))
    history = model.fit(
        train,
        epochs=settings.epochs,
        shuffle=False,
        verbose=0,
        callbacks=[Progress(road.console, name)],
    )
    seen = read_manifest(road.path("timelines", "train"))["counts"]["written"]
    with writing(path.parent) as tmp:
        model.save(tmp / path.name)
        _write_json(tmp / "history.json", history.history)
        counts = {"read": seen, "written": seen, "dropped": {}}
        write_manifest(tmp, kind=path.stem, counts=counts)


def open_catalog(road: Road) -> Any:
    """The catalog, checked against the item index."""
    catalog = tfmm.Catalog.open(road.path("catalog"))
    ItemIndex.open(road.path("index")).check(catalog.index.stamp(), "The catalog")
    return catalog


def open_vocabularies(road: Road) -> Vocabularies:
    """The vocabularies, checked against the item index."""
    index = ItemIndex.open(road.path("index"))
    return Vocabularies.open(road.path("vocabularies"), index)


def train_requests(road: Road, batch_size: int) -> Any:
    """Shuffled training requests."""
    return tfmm.data.requests(
        road.path("timelines", "train"),
        open_vocabularies(road),
        batch_size,
        shuffle=True,
        seed=road.recipe.seed,
    )


def _image_encoder(tower: ImageTower) -> Any:
    if tower.preset:
        return tfmm.encoders.image_from_preset(tower.preset, dimension=tower.dimension)
    return tfmm.encoders.image(
        tower.size, dimension=tower.dimension, image_size=tower.image_size
    )


def _text_encoder(road: Road, tower: TextTower) -> Any:
    if tower.preset:
        return tfmm.encoders.text_from_preset(
            tower.preset,
            dimension=tower.dimension,
            sequence_length=tower.sequence_length,
        )
    return tfmm.encoders.text(
        tower.size,
        titles=_titles(road.path("items")),
        dimension=tower.dimension,
        sequence_length=tower.sequence_length,
    )


def _titles(folder: Path) -> Iterator[bytes]:
    for name in sorted(read_manifest(folder, kind="items")["files"]):
        if name.endswith(".tfrecord"):
            for record in read_records(folder / name):
                yield decode(record)["title"][0]


def _cosine(peak: float, steps: int) -> Any:
    """A rate that rises for a tenth of the steps, then falls to 0.

    The last steps then average over many batches: the score of an ID model's single
    epoch depends less on the seed.
    """
    warmup = max(1, steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        peak / 10, steps - warmup, warmup_target=peak, warmup_steps=warmup
    )


def _write_json(path: Path, history: dict[str, list[Any]]) -> None:
    plain = {
        name: np.asarray(values, float).tolist() for name, values in history.items()
    }
    path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
