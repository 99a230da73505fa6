"""The stage that trains the towers by SCL."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras

import tfmm
from tfmm.pretrain.momentum import Ramp
from tfmm.pretrain.monitors import BankMonitor, MeanAccuracy, TemperatureMonitor
from tfmm.pretrain.retrieval import embed_pairs
from tfmm.records.index import ItemIndex
from tfmm.records.leak import check_pairs
from tfmm.records.manifest import read_manifest, write_manifest, writing
from tfmm.records.sources import describe
from tfmm.road.pretrain_line import pretrain_line
from tfmm.road.pretrain_recipe import MomentumRamp, Pretrain
from tfmm.road.progress import Progress
from tfmm.road.retrieval import item_attributes, items_of_pairs, retrieval_facts
from tfmm.road.road import Road
from tfmm.road.sheets import save_sheets
from tfmm.road.towers import rates, towers, unknown_shares
from tfmm.road.train import cosine, write_json
from tfmm.road.work import CHECKPOINTS, work_of
from tfmm.schema import Schema


def pretrain(road: Road) -> None:
    """Trains the towers by SCL and saves them as encoders and as a SavedModel.

    An interrupted training goes on, when it is run again, at the step where it
    stopped: its checkpoints are below `.work` until the towers are saved.
    """
    settings = road.recipe.pretrain
    assert settings is not None
    keras.utils.set_random_seed(road.recipe.seed)
    with _precision(settings.mixed_precision):
        encoders = towers(road)
        train, test = _pairs(road, encoders)
        text = encoders.get("text")
        unknown = unknown_shares(text, road.path("items")) if text else {}
        _tell(road, train, unknown)
        scl = _model(settings, encoders, settings.epochs * len(train))
        rate = cosine(settings.learning_rate, settings.epochs * len(train))
        scl.compile(optimizer=tfmm.encoders.AdamW(rate, rates=rates(road, encoders)))
        progress = Progress(road.console, "SCL", pretrain_line)
        with work_of(road, "pretrain") as work:
            with progress, warnings.catch_warnings():
                # The line of an epoch says it.
                warnings.filterwarnings("ignore", r"Task .* has collapsed")
                history = scl.fit(
                    train,
                    epochs=settings.epochs,
                    validation_data=test,
                    verbose=0,
                    callbacks=[*_monitors(road, settings), progress],
                    checkpoints=work / CHECKPOINTS,
                    checkpoint_every=settings.checkpoint_every,
                )
            _save(road, scl, encoders, train.num_pairs, test, history, unknown)


def _pairs(road: Road, encoders: dict[str, Any]) -> tuple[Any, Any]:
    """Training pairs, audited if they are the user's own, and test pairs."""
    settings = road.recipe.pretrain
    assert settings is not None
    folder = _train_folder(road)
    if settings.pairs:
        first_test = read_manifest(road.path("pairs")).get("first_test")
        if first_test is not None:
            timed = check_pairs(folder, first_test, road.path("pairs", "test"))
            road.console.print(f"      {timed:,} supplied pairs are before the test")
    read = {name: encoders.get(name) for name in ("image", "text", "vector")}
    common = {
        **read,
        "batch_size": settings.batch_size,
        "sources": settings.sources,
        "index": _index(road),
    }
    augment = settings.image is not None and settings.image.augment
    train = tfmm.data.pairs(
        folder,
        road.path("items"),
        seed=road.recipe.seed,
        augment=tfmm.pretrain.augment_pictures if augment else None,
        mask_words=settings.text.mask_words if settings.text else 0.0,
        **common,
    )
    test = tfmm.data.pairs(
        road.path("pairs", "test"), road.path("items"), shuffle=False, **common
    )
    return train, test


def _train_folder(road: Road) -> Path:
    settings = road.recipe.pretrain
    own = settings.pairs if settings else None
    return road.recipe.folder / own if own else road.path("pairs", "train")


def _index(road: Road) -> ItemIndex:
    return ItemIndex.open(road.path("index"))


def _tell(road: Road, train: Any, unknown: dict[str, float]) -> None:
    """What the towers are trained on, before they are."""
    sources = read_manifest(_train_folder(road)).get("sources")
    pairs = describe(sources) if sources else f"pairs: {train.num_pairs:,}"
    road.console.print(f"      training {pairs}")
    for part, share in unknown.items():
        road.console.print(f"      {share:.1%} of the tokens of {part} are unknown")


def _model(settings: Pretrain, encoders: dict[str, Any], steps: int) -> Any:
    momentum: Any = settings.momentum
    if isinstance(momentum, MomentumRamp):
        momentum = Ramp(momentum.start, momentum.end, momentum.steps or steps)
    return tfmm.SCL(
        **encoders,
        tasks=settings.tasks,
        bank_size=settings.bank_size,
        bank_start=settings.bank_start,
        momentum=momentum,
        temperature_init=settings.temperature,
        margin=settings.margin,
        triplet_weight=settings.triplet_weight,
        symmetric=settings.symmetric,
        chunk_size=settings.chunk_size,
    )


def _monitors(road: Road, settings: Pretrain) -> list[Any]:
    """Callbacks in the order in which they add to the logs and read them."""
    found: list[Any] = [MeanAccuracy(), TemperatureMonitor(), BankMonitor()]
    if settings.early_stop:
        stop = keras.callbacks.EarlyStopping(
            "val_acc@5",
            mode="max",
            patience=settings.early_stop,
            restore_best_weights=True,
        )
        found.append(stop)
    if settings.tensorboard:
        folder = str(road.path("tensorboard", "pretrain"))
        found.append(keras.callbacks.TensorBoard(folder))
    return found


def _save(
    road: Road,
    scl: Any,
    encoders: dict[str, Any],
    trained: int,
    test: Any,
    history: Any,
    unknown: dict[str, float],
) -> None:
    settings = road.recipe.pretrain
    assert settings is not None
    with writing(road.path("encoders")) as tmp:
        for name, encoder in encoders.items():
            encoder.save(tmp / name)
        for direction in scl.query_towers:
            scl.query_encoder(direction).save(tmp / f"query_{direction}")
        served = {k: v for k, v in encoders.items() if k != "vector"}
        if served:
            queries = {
                task.direction: scl.query_encoder(task.direction)
                for task in scl.tasks
                if task.query in served
            }
            folder = tmp / "saved_model"
            tfmm.encoders.save_item_encoder(folder, queries=queries, **served)
        write_json(tmp / "history.json", history.history)
        found = embed_pairs(scl, test)
        schema, index = Schema.from_yaml(road.schema_file), _index(road)
        attributes = item_attributes(schema, index)
        trained_items = items_of_pairs(_train_folder(road))
        facts = retrieval_facts(scl, found, attributes, trained_items)
        (tmp / "retrieval.json").write_text(json.dumps(facts, indent=1) + "\n")
        save_sheets(
            tmp,
            scl.tasks,
            found,
            test,
            pairs=road.path("pairs", "test"),
            items=road.path("items"),
            sources=settings.sources,
            show_searches=settings.show_searches,
        )
        write_manifest(
            tmp,
            kind="encoders",
            counts={"read": trained, "written": trained, "dropped": {}},
            tasks=[str(task) for task in scl.tasks],
            unknown_tokens=unknown,
        )


@contextmanager
def _precision(name: str | None) -> Iterator[None]:
    """Keras's policy for the layers made within."""
    before = keras.config.dtype_policy()
    if name:
        keras.config.set_dtype_policy(f"mixed_{name}")
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)
