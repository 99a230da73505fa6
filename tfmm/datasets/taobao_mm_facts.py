"""Facts of a scan of Taobao-MM, kept between the stages; vocabularies from them."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np

from tfmm.datasets.taobao_mm_files import ITEM_FEATURES, USER_FEATURES
from tfmm.datasets.taobao_mm_tally import Codes, Tally
from tfmm.records.index import FIRST_ROW, ItemIndex
from tfmm.records.manifest import read_manifest
from tfmm.records.spec import FIRST_CODE, Feature, RequestSpec
from tfmm.records.vocabularies import USER, ItemTable, Vocabularies

KIND = "taobao_mm"
EVENT_TYPE, LABEL = "behaviour", "click"
_ARRAYS = ("ids", "train_count", "codes", "users")


@dataclasses.dataclass(frozen=True)
class Facts:
    """What a scan found.

    Args:
        ids: int64 `[n]`, sorted: items of the index.
        train_count: int32 `[n]`.
        codes: int32 `[n, 3]` of `ITEM_FEATURES`; value `i` of `values` has code
            `i + 1`, 0 is missing.
        users: int64 `[u]`, sorted: users of training.
        values: Feature name -> its values, in no meaningful order.
        longest: Rows of the user with the most.
    """

    ids: np.ndarray
    train_count: np.ndarray
    codes: np.ndarray
    users: np.ndarray
    values: dict[str, list[int]]
    longest: int

    @classmethod
    def of(cls, tally: Tally) -> "Facts":
        """The ids that occur."""
        used = tally.occurs
        features = (*ITEM_FEATURES, *USER_FEATURES)
        found: tuple[Codes, ...] = (*tally.item_values, *tally.user_values)
        return cls(
            tally.search.ids[used],
            tally.train_count[used],
            tally.codes(),
            tally.train_users(),
            {name: codes.values for name, codes in zip(features, found, strict=True)},
            tally.longest,
        )

    def save(self, folder: Path) -> None:
        """Writes arrays and values, without a manifest."""
        for name in _ARRAYS:
            np.save(folder / f"{name}.npy", getattr(self, name))
        plain = {"values": self.values, "longest": self.longest}
        (folder / "values.json").write_text(json.dumps(plain) + "\n", encoding="utf-8")

    @classmethod
    def open(cls, folder: str | Path) -> "Facts":
        """Opens a finished scan, memory-mapped."""
        read_manifest(folder, kind=KIND)
        arrays = (
            np.load(Path(folder) / f"{name}.npy", mmap_mode="r", allow_pickle=False)
            for name in _ARRAYS
        )
        return cls(*arrays, **json.loads((Path(folder) / "values.json").read_text()))


def vocabularies(
    facts: Facts, index: ItemIndex, max_history: int, max_items: int, min_count: int
) -> tuple[Vocabularies, dict[str, Any]]:
    """Vocabularies of all values, users and items seen in training.

    Args:
        facts: Of the scan that the index was made from.
        index: The item index.
        max_history: Longest history.
        max_items: Most candidates of a request.
        min_count: Occurrences in training from which an item has its own embedding.

    Returns:
        The vocabularies, and the counts for their manifest.
    """
    rows = index.rows_of(np.asarray(facts.ids))
    train_count = np.zeros(index.rows, np.int64)
    train_count[rows] = facts.train_count
    frequent = FIRST_ROW + np.flatnonzero(train_count[FIRST_ROW:] >= min_count)
    embedding_row = np.ones(index.rows, np.int32)
    embedding_row[0] = 0
    embedding_row[frequent] = np.arange(len(frequent)) + FIRST_CODE

    values = {USER: [str(user) for user in facts.users.tolist()]}
    values |= {f"user_{name}": _texts(facts.values[name]) for name in USER_FEATURES}
    codes = np.zeros((index.rows, len(ITEM_FEATURES)), np.int32)
    for i, name in enumerate(ITEM_FEATURES):
        values[f"item_{name}"] = texts = _texts(facts.values[name])
        place = {text: code for code, text in enumerate(texts, FIRST_CODE)}
        final = [0, *(place[str(value)] for value in facts.values[name])]
        codes[rows, i] = np.array(final, np.int32)[facts.codes[:, i]]
    spec = RequestSpec(
        users=len(values[USER]) + FIRST_CODE,
        items=len(frequent) + FIRST_CODE,
        rows=index.rows,
        features=_features(values),
        event_types=(EVENT_TYPE,),
        labels=(LABEL,),
        max_history=max_history,
        max_items=min(max_items, max(1, facts.longest)),
    )
    numbers = np.zeros((index.rows, 0), np.float32)
    table = ItemTable(embedding_row, codes, numbers, train_count)
    known = index.rows - FIRST_ROW
    dropped = {"under_min_count": known - len(frequent)}
    counts = {"read": known, "written": len(frequent), "dropped": dropped}
    return Vocabularies(values, table, spec, index.stamp()), counts


def _texts(values: list[int]) -> list[str]:
    return sorted(str(value) for value in values)


def _features(values: dict[str, list[str]]) -> tuple[Feature, ...]:
    declared = [("user", name) for name in USER_FEATURES]
    declared += [("item", name) for name in ITEM_FEATURES]
    return tuple(
        Feature(name, "categorical", scope, len(values[f"{scope}_{name}"]) + FIRST_CODE)
        for scope, name in declared
    )
