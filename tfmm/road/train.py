"""Stages after the towers: the catalog, MAKE, the rankers."""

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np

import tfmm
import tfmm.ranking  # registers what load_model needs
from tfmm.encoders import VectorEncoder
from tfmm.ranking.offset import check_probabilities
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest, write_manifest, writing
from tfmm.records.vocabularies import Vocabularies
from tfmm.road import taobao_mm
from tfmm.road.calibrate import calibrate_ranker
from tfmm.road.cost import StepTimes, cost_of, write_cost
from tfmm.road.progress import Progress
from tfmm.road.ranking_recipe import Interest, Ranking, names_of
from tfmm.road.recipe import Make
from tfmm.road.road import Road
from tfmm.road.work import CHECKPOINTS, work_of

CHECKPOINT_EVERY = 1000


def embed_items(road: Road) -> None:
    """The catalog: vectors of all items, from the towers, the user or the data set."""
    if road.recipe.input.taobao_mm is not None:
        taobao_mm.catalog(road)
        return
    vectors, index = road.recipe.vectors, ItemIndex.open(road.path("index"))
    if vectors is not None:
        folder = road.recipe.folder
        catalog = tfmm.Catalog.from_vectors(
            folder / vectors.ids if vectors.ids else None,
            folder / vectors.file,
            name=vectors.name,
            version=vectors.version,
            modality=vectors.modality,
            index=index,
        )
        catalog.save(road.path("catalog"))
        return
    if road.path("encoders", "saved_model").is_dir():
        from beam_jobs import embed_items as job

        job.run(
            str(road.path("items")),
            str(road.path("encoders", "saved_model")),
            str(road.path("index")),
            str(road.path("catalog")),
        )
    if road.path("encoders", "vector").is_dir():
        _add_vectors(road, index)


def _add_vectors(road: Road, index: ItemIndex) -> None:
    """Puts the vectors of the vector tower beside those of the others."""
    encoder = VectorEncoder.load(road.path("encoders", "vector"))
    catalog = tfmm.Catalog.from_vectors(
        encoder.ids,
        encoder.embed(),
        name="vector_tower",
        version=encoder.digest,
        modality="vector",
        index=index,
    )
    if road.path("encoders", "saved_model").is_dir():
        catalog = tfmm.Catalog.merge(tfmm.Catalog.open(road.path("catalog")), catalog)
    catalog.save(road.path("catalog"))


def make(road: Road) -> None:
    """Trains MAKE on the multimodal vectors alone, several epochs."""
    keras.utils.set_random_seed(road.recipe.seed)
    model = tfmm.MAKE(open_catalog(road))
    path = road.path("make", "make.keras")
    with work_of(road, "make") as work:
        _train(road, model, road.recipe.make, "MAKE", path, work / CHECKPOINTS)


def train_ranker(
    road: Road, variant: str, folder: Path, checkpoints: Path | None = None
) -> None:
    """Trains one variant's ranker for one epoch and saves it.

    Args:
        road: The run.
        variant: Name of a variant of the recipe.
        folder: Where `ranker.keras`, its history and its cost are written.
        checkpoints: A folder for those, to go on from after an interruption.
    """
    keras.utils.set_random_seed(road.recipe.seed)
    settings = road.recipe.ranking
    interests = settings.variants[variant]
    model = tfmm.RankingModel(
        open_vocabularies(road),
        None if set(names_of(interests)) <= {"din"} else open_catalog(road),
        interests=[_interest(road, interest) for interest in interests],
        embedding_dim=settings.embedding_dim,
        hidden=settings.hidden,
        labels=settings.labels,
        cross_layers=settings.cross_layers,
        recent=settings.recent,
        position=settings.position,
        offset=settings.offset,
    )
    if settings.offset:
        batch = next(iter(train_requests(road, settings.batch_size)))
        check_probabilities(batch[settings.offset])
    path = folder / "ranker.keras"
    _train(road, model, settings, variant, path, checkpoints)


def _interest(road: Road, interest: Interest) -> Any:
    """A trained MAKE in place of its name; everything else as it is."""
    if next(names_of([interest])) != "make":
        return interest
    make = keras.models.load_model(road.path("make", "make.keras"))
    options = interest["make"] if isinstance(interest, dict) else None
    return tfmm.ranking.MakeInterest(make, **(options or {}))


def _train(
    road: Road,
    model: Any,
    settings: Make | Ranking,
    name: str,
    path: Path,
    checkpoints: Path | None,
) -> None:
    """Fits a model on the training requests and saves it with its history."""
    train = train_requests(road, settings.batch_size)
    model.compile(optimizer=_optimizer(settings, settings.epochs * len(train)))
    steps = StepTimes()
    with Progress(road.console, name) as progress:
        history = model.fit(
            train,
            epochs=settings.epochs,
            verbose=0,
            callbacks=[steps, progress],
            checkpoints=checkpoints,
            checkpoint_every=CHECKPOINT_EVERY,
        )
    if isinstance(settings, Ranking) and settings.calibrate:
        calibrate_ranker(road, model, open_vocabularies(road))
    seen = read_manifest(road.path("timelines", "train"))["counts"]["written"]
    with writing(path.parent) as tmp:
        model.save(tmp / path.name)
        write_json(tmp / "history.json", history.history)
        write_cost(tmp, cost_of(model, steps))
        counts = {"read": seen, "written": seen, "dropped": {}}
        write_manifest(tmp, kind=path.stem, counts=counts)


def _optimizer(settings: Make | Ranking, steps: int) -> Any:
    if not isinstance(settings, Ranking):
        return tfmm.ranking.ranking_optimizer(cosine(settings.learning_rate, steps))
    falling = settings.schedule == "cosine"
    return tfmm.ranking.ranking_optimizer(
        cosine(settings.learning_rate, steps) if falling else settings.learning_rate,
        rates=settings.rates,
        weight_decay=settings.weight_decay,
    )


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


def cosine(peak: float, steps: int) -> Any:
    """A rate that rises for a tenth of the steps, then falls to 0.

    The last steps then average over many batches: the score of an ID model's single
    epoch depends less on the seed.
    """
    warmup = max(1, steps // 10)
    return keras.optimizers.schedules.CosineDecay(
        peak / 10, steps - warmup, warmup_target=peak, warmup_steps=warmup
    )


def write_json(path: Path, history: dict[str, list[Any]]) -> None:
    """Writes a history as plain numbers."""
    plain = {
        name: np.asarray(values, float).tolist() for name, values in history.items()
    }
    path.write_text(json.dumps(plain, indent=1) + "\n", encoding="utf-8")
