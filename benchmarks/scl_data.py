"""The three data sets of the ablation, decoded once, as arrays."""

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from PIL import Image

SIDE = 32
_NONE = -1


@dataclass(frozen=True)
class PairSet:
    """Queries, items and which item answers which query.

    Args:
        pictures: uint8 `[I, S, S, 3]`, the items' pictures.
        has_picture: bool `[I]`.
        titles: I titles, `""` where an item has none.
        attributes: By column of the items table, int `[I]`: what a supervised
            classifier learns.
        groups: int `[I]`, the first of each item's interchangeable items.
        query_pictures: uint8 `[Q, S, S, 3]`, or `None` where queries are words.
        query_words: Q texts, or `None` where queries are pictures.
        train: int `[P, 2]`, places of query and answer.
        test: int `[P', 2]`, likewise.
        negatives: int `[Q, 4]`, clicked-not-bought items, -1 fills.
        described: Whether titles are descriptions that answer a query by picture, so
            that an item is searched by both.
    """

    pictures: np.ndarray
    has_picture: np.ndarray
    titles: list[str]
    attributes: Mapping[str, np.ndarray]
    groups: np.ndarray
    query_pictures: np.ndarray | None
    query_words: list[str] | None
    train: np.ndarray
    test: np.ndarray
    negatives: np.ndarray
    described: bool = False

    @property
    def digest(self) -> str:
        """Names the very data that a result is of."""
        state = hashlib.sha256()
        for field in fields(self):
            value = getattr(self, field.name)
            for part in value.values() if isinstance(value, Mapping) else [value]:
                array = isinstance(part, np.ndarray)
                state.update(part.tobytes() if array else repr(part).encode())
        return state.hexdigest()[:12]


def marketplace(items: int, searches: int, seed: int, cache: Path) -> PairSet:
    """Searches by picture that ended in a purchase; the last days' are the test.

    The split is the schema's: the first validation day.
    """
    folder = cache / f"marketplace-{items}-{searches}-{seed}-{simulator()}"
    _simulate(folder, items, searches, seed)
    return shop_pairs(folder)


def shop_pairs(folder: Path) -> PairSet:
    """The searches by picture of a simulated marketplace's folder."""
    table = pq.read_table(folder / "items.parquet")
    ids = {value: place for place, value in enumerate(table["item_id"].to_pylist())}
    pictures, there = decoded(table["image"].to_pylist())
    rows = pq.read_table(folder / "searches.parquet").to_pylist()
    first_test = _first_test(folder)
    queries, negatives, parts = [], [], {True: [], False: []}
    for row in rows:
        bought = ids.get(row["bought_item"], _NONE)
        if row["query_image"] is None or bought == _NONE or not there[bought]:
            continue
        clicked = [ids[c] for c in row["clicked_items"] if there[ids.get(c, _NONE)]]
        negatives.append((clicked + [_NONE] * 4)[:4])
        parts[_seconds(row["time"]) >= first_test].append((len(queries), bought))
        queries.append(row["query_image"])
    return PairSet(
        pictures=pictures,
        has_picture=there[:-1],
        titles=[title or "" for title in table["title"].to_pylist()],
        attributes={
            name: _codes(table[name].to_pylist()) for name in ("category", "brand")
        },
        groups=np.arange(len(ids)),
        query_pictures=decoded(queries)[0],
        query_words=None,
        train=np.array(parts[False]),
        test=np.array(parts[True]),
        negatives=np.array(negatives),
    )


def marketplace_config(items: int, searches: int, seed: int) -> Any:
    """Many searches, and hardly any log beside them."""
    from tfmm.datasets.marketplace import MarketplaceConfig

    return MarketplaceConfig.of_size(
        "standard",
        items=items,
        searches=searches,
        seed=seed,
        image_size=SIDE,
        users=2_000,
        requests_per_user=1.0,
        views_per_user=1.0,
    )


def public(name: str) -> PairSet:
    """Grocery Store or Fashion Products, from the folder of `TFMM_DATA`."""
    from tfmm.datasets import fashion_products, grocery_store

    root = Path(os.environ.get("TFMM_DATA", "../shared/data"))
    modules = {"grocery": grocery_store, "fashion": fashion_products}
    folders = {"grocery": "grocery_store", "fashion": "fashion_products"}
    data = modules[name].load(root / folders[name])
    names = {"grocery": ("coarse", "department"), "fashion": ("articleType",)}[name]
    attributes = {name: _codes(data.attributes[name]) for name in names}
    words = data.query_words if name == "fashion" else None
    train = np.stack(data.pairs("train"), axis=1)
    return PairSet(
        pictures=data.item_pixels(SIDE),
        has_picture=np.ones(len(data.titles), bool),
        titles=data.titles,
        attributes=attributes,
        groups=np.asarray(data.groups),
        query_pictures=None if words else data.query_pixels(SIDE),
        query_words=words,
        train=train,
        test=np.stack(data.pairs("test"), axis=1),
        negatives=_siblings(attributes[names[0]], train, len(data.parts)),
        described=name == "grocery",
    )


def _codes(values: list[str | None]) -> np.ndarray:
    return np.unique([value or "" for value in values], return_inverse=True)[1]


def _siblings(classes: np.ndarray, pairs: np.ndarray, queries: int) -> np.ndarray:
    """Per query up to 4 training items of its answer's class that do not answer it.

    They stand for clicked-not-bought items, which these sets lack.
    """
    rng = np.random.default_rng(0)
    shown = np.unique(pairs[:, 1])
    by_class = {c: shown[classes[shown] == c] for c in np.unique(classes[shown])}
    answers: dict[int, list[int]] = {}
    for query, item in pairs.tolist():
        answers.setdefault(query, []).append(item)
    negatives = np.full((queries, 4), _NONE)
    for query, items in answers.items():
        others = np.setdiff1d(by_class[classes[items[0]]], items)
        drawn = rng.permutation(others)[:4]
        negatives[query, : len(drawn)] = drawn
    return negatives


def simulator() -> str:
    """Names the simulator's code: other code, other data."""
    from tfmm.datasets import marketplace as module

    state = hashlib.sha256()
    for path in sorted(Path(str(module.__file__)).parent.glob("marketplace*.py")):
        state.update(path.read_bytes())
    return state.hexdigest()[:8]


def _simulate(folder: Path, items: int, searches: int, seed: int) -> None:
    from tfmm.datasets.marketplace import generate

    if (folder / "manifest.json").is_file():
        return
    print(f"  simulating {items:,} items and {searches:,} searches", flush=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    generate(folder, marketplace_config(items, searches, seed))


def _first_test(folder: Path) -> float:
    from tfmm.schema import Schema
    from tfmm.schema.rules import microseconds

    split = Schema.from_yaml(folder / "schema.yaml").split
    return microseconds(split.validation_from or split.test_from) / 1e6


def _seconds(moment: object) -> float:
    return moment.timestamp() if hasattr(moment, "timestamp") else float(moment)


def decoded(files: list[bytes | None]) -> tuple[np.ndarray, np.ndarray]:
    pictures = np.zeros((len(files), SIDE, SIDE, 3), np.uint8)
    for place, data in enumerate(files):
        if data is not None:
            picture = Image.open(io.BytesIO(data)).convert("RGB")
            pictures[place] = np.asarray(picture.resize((SIDE, SIDE)))
    # The last row answers for the place -1: an item that is not there.
    there = np.array([data is not None for data in files] + [False])
    return pictures, there
