"""Trains and scores the two models of a trial on the same data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfmm.catalog import Catalog
from tfmm.data.request_batches import requests
from tfmm.evaluation.collect import collect
from tfmm.evaluation.columns import Columns
from tfmm.onboarding.verdict import Coverage
from tfmm.ranking import RankingModel, ranking_optimizer
from tfmm.records.vocabularies import Vocabularies

MODELS = {"id_only": ("din",), "simtier": ("din", "simtier")}
_STEPS = 600
_EVALUATION_BATCH = 512

Progress = Callable[[str, int, int], None]


def train_and_score(
    timelines: Path,
    vocabularies: Vocabularies,
    catalog: Catalog,
    seed: int,
    progress: Progress,
) -> dict[str, Columns]:
    """One epoch each from the same seed, then the scored test impressions.

    Args:
        timelines: Folder with `train` and `test`.
        vocabularies: The vocabularies.
        catalog: The vectors.
        seed: Seed of weights and shuffle.
        progress: Called with (model, steps done, steps).

    Returns:
        Model name -> columns.
    """
    size = batch_size(timelines / "train", vocabularies)
    found = {}
    for name, interests in MODELS.items():
        keras.utils.set_random_seed(seed)
        model = RankingModel(
            vocabularies, catalog if "simtier" in interests else None, interests
        )
        model.compile(optimizer=ranking_optimizer())
        train = requests(timelines / "train", vocabularies, size, True, seed)
        reports = _Report(name, int(train.cardinality()), progress)
        model.fit(train, epochs=1, shuffle=False, verbose=0, callbacks=[reports])
        test = requests(timelines / "test", vocabularies, _EVALUATION_BATCH)
        found[name] = collect(model, test.as_numpy_iterator())
    return found


def batch_size(folder: Path, vocabularies: Vocabularies) -> int:
    """A power of two, 16 to 1024, that gives the one epoch a few hundred steps."""
    many = int(requests(folder, vocabularies, 1).cardinality())
    return int(2 ** np.clip(np.round(np.log2(max(many, 1) / _STEPS)), 4, 10))


def coverage(timelines: Path, vocabularies: Vocabularies, catalog: Catalog) -> Coverage:
    """Which items of the test have a vector.

    Args:
        timelines: Folder with `test`.
        vocabularies: The vocabularies.
        catalog: The vectors.
    """
    tables = list(catalog.modalities.values())
    present = np.any([table.present for table in tables], axis=0)
    shown = shown_known = past = past_known = 0
    test = requests(timelines / "test", vocabularies, _EVALUATION_BATCH)
    for batch in test.as_numpy_iterator():
        items = _valid(batch["item"], batch["n_items"])
        history = _valid(batch["history_item"], batch["n_history"])
        shown, past = shown + len(items), past + len(history)
        shown_known += int(present[items].sum())
        past_known += int(present[history].sum())
    return Coverage(
        items=int(present.sum()),
        unknown_vectors=int(catalog.counts["dropped"]["unknown_item"]),
        candidates=shown_known / max(shown, 1),
        history=past_known / max(past, 1),
    )


def _valid(values: np.ndarray, counts: np.ndarray) -> np.ndarray:
    return values[np.arange(values.shape[1]) < counts[:, None]]


class _Report(keras.callbacks.Callback):
    def __init__(self, name: str, steps: int, progress: Progress) -> None:
        super().__init__()
        self._name, self._steps, self._progress = name, steps, progress

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch % 10 == 0 or batch + 1 == self._steps:
            self._progress(self._name, batch + 1, self._steps)
