"""The requests, items and searches of the paper's tables, made once, in one folder."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.movielens_pairs import movielens_pairs
from benchmarks.scl_data import PairSet, shop_pairs, simulator

# The log is simulated or public, so its users' key is no secret.
_KEY = "paper tables: simulated shoppers have no secrets"
_ID = {"marketplace": "item_id", "movielens": "movieId"}


@dataclass(frozen=True)
class Shop:
    """A simulated marketplace, or MovieLens with posters.

    Args:
        name: `"marketplace"` or `"movielens"`.
        folder: Where its tables and records are.
        items: Of the marketplace.
        users: Of the marketplace, or how many of MovieLens's; `None` for all.
        searches: Of the marketplace.
        requests: Per user of the marketplace.
        days: Of the marketplace's log.
    """

    name: str
    folder: Path
    items: int = 8_000
    users: int | None = 6_000
    searches: int = 24_000
    requests: float = 20.0
    days: int = 21

    def prepare(self) -> None:
        """Tables and records; what is there already stays."""
        tables = self.folder / "input"
        if not (tables / "manifest.json").is_file():
            self._tables(tables)
        schema, index = str(tables / "schema.yaml"), str(self.folder / "index")
        codes, times = str(self.folder / "vocabularies"), self.folder / "timelines"
        if (times / "manifest.json").is_file():
            return
        from beam_jobs import behaviours, item_index, vocabularies

        key = self.folder / "key"
        key.write_text(_KEY)
        print("  records of the log", flush=True)
        item_index.run(schema, index, None)
        vocabularies.run(schema, index, codes, str(key))
        behaviours.run(schema, index, codes, str(times), str(key))

    def _tables(self, folder: Path) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.name == "movielens":
            from tfmm.datasets.movielens import convert

            root = Path(os.environ.get("TFMM_DATA", "../shared/data"))
            convert(root / "movielens_posters", folder, users=self.users)
            return
        from tfmm.datasets.marketplace import generate

        print(f"  simulating {self.items:,} items", flush=True)
        generate(folder, self.config)

    @property
    def config(self) -> Any:
        """The simulator's configuration."""
        from tfmm.datasets.marketplace import MarketplaceConfig

        return MarketplaceConfig.of_size(
            "standard",
            items=self.items,
            users=self.users,
            days=self.days,
            searches=self.searches,
            requests_per_user=self.requests,
            image_size=32,
            seed=1,
        )

    @cached_property
    def stamp(self) -> str:
        """Names the data that results are of."""
        if self.name == "movielens":
            return f"movielens-{self.users}"
        sizes = self.items, self.users, self.searches, self.requests, self.days
        return "-".join(map(str, (*sizes, simulator())))

    @cached_property
    def pairs(self) -> PairSet:
        """Searches with their answers, and every item's picture."""
        tables = self.folder / "input"
        of = shop_pairs if self.name == "marketplace" else movielens_pairs
        return of(tables)

    @cached_property
    def item_ids(self) -> list[str]:
        """Raw ids in the order of the pictures."""
        table = pq.read_table(self.folder / "input" / "items.parquet")
        return [str(value) for value in table[_ID[self.name]].to_pylist()]

    @cached_property
    def vocabularies(self) -> Any:
        from tfmm.records.vocabularies import Vocabularies

        return Vocabularies.open(self.folder / "vocabularies", self.index)

    @cached_property
    def index(self) -> Any:
        from tfmm.records.index import ItemIndex

        return ItemIndex.open(self.folder / "index")

    @property
    def parts(self) -> tuple[str, ...]:
        """What is scored: MovieLens has no validation days."""
        from tfmm.records.manifest import read_manifest

        found = read_manifest(self.folder / "timelines" / "validation")
        return ("validation", "test") if found["counts"]["requests"] else ("test",)

    def requests_of(self, part: str, batch: int, seed: int | None = None) -> Any:
        """Request batches, shuffled where there is a seed.

        Args:
            part: `"train"`, `"validation"` or `"test"`.
            batch: Requests per batch.
            seed: Of the shuffle.
        """
        from tfmm.data import requests

        shuffle = {} if seed is None else {"shuffle": True, "seed": seed}
        folder = self.folder / "timelines" / part
        return requests(folder, self.vocabularies, batch, **shuffle)

    def catalog(self, vectors: np.ndarray, name: str) -> Any:
        """A catalog of one modality, `image`.

        Args:
            vectors: float32 `[items, d]`; zeros where an item has none.
            name: What made them.
        """
        from tfmm import Catalog

        return Catalog.from_vectors(
            self.item_ids,
            vectors,
            name=name,
            version=self.stamp,
            modality="image",
            index=self.index,
        )

    def best(self) -> dict[str, float]:
        """GAUC, AUC and LogLoss of the true click probabilities on the test days."""
        from tfmm.datasets.marketplace import best_scores
        from tfmm.evaluation import auc, gauc, log_loss

        if self.name != "marketplace":
            return {}
        truth = best_scores(self.folder / "input")
        y, p = truth["label"], truth["score"]
        return {
            "gauc": gauc(_numbers(truth["user"]), y, p).value,
            "auc": auc(y, p),
            "log_loss": log_loss(y, p),
        }


def _numbers(values: Sequence[Any]) -> np.ndarray:
    return np.unique(np.asarray(values), return_inverse=True)[1]
