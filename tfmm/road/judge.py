"""Stages that judge and publish: evaluation, export, parity over REST, report."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import keras
import numpy as np
from rich.markup import escape

import tfmm
from tfmm.errors import TfmmError
from tfmm.evaluation import (
    Columns,
    GainTable,
    collect,
    collect_logged,
    gain_table,
)
from tfmm.evaluation.gain_page import write_card
from tfmm.evaluation.gain_rows import PRODUCTION
from tfmm.identity import read_secret, user_keys
from tfmm.layers import rounded_tables
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import file_digest, write_manifest, writing
from tfmm.road.cost import read_cost
from tfmm.road.examples import example_requests
from tfmm.road.gate import Gate
from tfmm.road.requests import requests_of_the_test
from tfmm.road.road import Road
from tfmm.road.tables import price_of_tables
from tfmm.road.train import open_catalog, open_vocabularies

# Test requests that an export keeps, with their answers.
GOLDEN = 32


def evaluate(road: Road) -> None:
    """The gain card on the test requests, and examples for the report."""
    requests = requests_of_the_test(road, open_vocabularies(road))
    settings = road.recipe.ranking
    folders = {name: road.path("rankers", name) for name in settings.variants}
    table = gain_of(road, folders, settings.baseline)
    road.console.print(table.render())
    for name, reported in settings.reported.items():
        own = table[name].all.gauc
        ours = "none" if own is None else f"{own:.4f}"
        road.console.print(f"      {name}: GAUC {ours}, reported {reported:.4f}")
    with writing(road.path("evaluation")) as tmp:
        write_card(tmp, table, road.recipe.name)
        examples = example_requests(_ranker(road, settings.published), requests)
        (tmp / "example_requests.json").write_text(json.dumps(examples) + "\n")
        shown = table.rows[0].all.impressions
        counts = {"read": shown, "written": shown, "dropped": {}}
        write_manifest(tmp, kind="evaluation", counts=counts)


def export(road: Road) -> None:
    """Publishes the ranker and the item encoder as SavedModels."""
    vocabularies = open_vocabularies(road)
    sample = next(iter(requests_of_the_test(road, vocabularies, batch_size=GOLDEN)))
    table = GainTable.open(road.path("evaluation", "gain.json"))
    gain = {row.name: asdict(row.total) for row in table.rows}
    ranker = _ranker(road, road.recipe.ranking.published)
    facts: dict[str, Any] = {"recipe": road.recipe.name}
    if road.schema_file.is_file():  # Taobao-MM's columns need none.
        facts["schema"] = file_digest(road.schema_file)
    if ranker.fingerprint is not None:  # A ranker of IDs alone has no vectors.
        catalog = open_catalog(road)
        catalog.check_fingerprint(ranker.fingerprint, "The ranker")
        facts["encoders"] = dict(catalog.sources)
    index = ItemIndex.open(road.path("index"))
    gate = Gate(road, ranker, index, vocabularies)
    path = tfmm.export.export_ranker(
        ranker,
        road.saved_models,
        index,
        vocabularies,
        {name: np.asarray(value) for name, value in sample.items()},
        metadata={
            **facts,
            "gain": gain,
            "price_of_tables": price_of_tables(road, ranker, vocabularies),
        },
        signatures=road.recipe.export.signatures,
        tables=road.recipe.export.tables,
        accept=gate,
    )
    published = [path]
    encoder = road.path("encoders", "saved_model")
    if encoder.is_dir():  # Towers of ready-made vectors alone read no media.
        published.append(tfmm.export.export_item_encoder(encoder, road.saved_models))
    _note(road, "export.json", {p.parent.name: p.name for p in published})
    _note(road, "publish.json", gate.outcome)
    for path in published:
        road.console.print(f"      published {escape(str(path))}")


def parity(road: Road) -> None:
    """Serves the export on loopback, asks it over REST, compares with the model."""
    from tfmm.road.parity import MODEL, compare

    vocabularies = open_vocabularies(road)
    index = ItemIndex.open(road.path("index"))
    ranker = _ranker(road, road.recipe.ranking.published)
    requests = requests_of_the_test(road, vocabularies)
    folder = road.published()[MODEL]
    with rounded_tables(ranker, road.recipe.export.tables):
        served = compare(folder, ranker, index, vocabularies, requests)
    _note(road, "served.json", served)
    road.console.print_json(json.dumps(served["answer"]))
    road.console.print(
        f"      {served['requests']} requests, largest difference to the model: "
        + ", ".join(
            f"{value:.1e} by {name}"
            for name, value in served["largest_differences"].items()
        )
    )


def report(road: Road) -> None:
    """Writes the report."""
    path = tfmm.evaluation.write_report(road.out, road.recipe.name)
    road.console.print(f"      {escape(str(path))}")


def _production(
    road: Road, requests: Any, vocabularies: Any, needed: bool
) -> dict[str, Columns]:
    """The logged scores as a row; none where some are missing and nobody needs it."""
    try:
        return {PRODUCTION: collect_logged(requests, vocabularies.spec.labels[0])}
    except TfmmError as error:
        if needed:
            raise
        text = f"The production model is no row of the card. {error}"
        road.console.print(f"      [yellow]{escape(text)}[/]")
        return {}


def gain_of(road: Road, folders: Mapping[str, Path], baseline: str) -> GainTable:
    """The gain card of trained rankers, beside the production model where it is logged.

    Args:
        road: The run.
        folders: Where each row's ranker lies.
        baseline: The row that gains refer to, `"production"` for the logged score.
    """
    vocabularies = open_vocabularies(road)
    requests = requests_of_the_test(road, vocabularies)
    rows = {name: collect(_load(folder), requests) for name, folder in folders.items()}
    if vocabularies.spec.base_score:
        rows |= _production(road, requests, vocabularies, baseline == PRODUCTION)
    best, bars = _known_scores(road)
    costs = {name: read_cost(folder) for name, folder in folders.items()}
    return gain_table(
        rows,
        best=best,
        baseline=baseline,
        bars=bars,
        embedding_row=vocabularies.items.embedding_row,
        train_count=vocabularies.items.train_count,
        costs={name: cost for name, cost in costs.items() if cost is not None},
    )


def _ranker(road: Road, variant: str) -> Any:
    return _load(road.path("rankers", variant))


def _load(folder: Path) -> Any:
    return keras.models.load_model(folder / "ranker.keras", compile=False)


def _known_scores(road: Road) -> tuple[Columns | None, dict[str, Columns]]:
    """The simulator's true probabilities and bars to beat, where the input has them."""
    given = road.recipe.input
    if given.marketplace:
        from tfmm.datasets.marketplace import best_scores

        return _columns(road, best_scores(road.path("input"))), {}
    if given.movielens:
        from tfmm.datasets.movielens import bar_scores

        bar = _columns(road, bar_scores(road.path("input")))
        return None, {"item mean + user mean": bar}
    return None, {}


def _columns(road: Road, scored: dict[str, np.ndarray]) -> Columns:
    index = ItemIndex.open(road.path("index"))
    with road.key_file() as key_file:
        keys = user_keys([str(u) for u in scored["user"]], read_secret(key_file))
    return Columns(
        user_key=keys,
        item=index.rows_of(scored["item"]),
        time=scored["time"] * 1_000_000,
        label=scored["label"],
        probability=scored["score"],
        n_history=np.zeros(len(keys), np.int32),
    )


def _note(road: Road, name: str, content: dict[str, Any]) -> None:
    folder = road.path("serving")
    folder.mkdir(exist_ok=True)
    aside = folder / f"{name}.tmp"
    aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    aside.replace(folder / name)
