"""Made-up files in the layout of Taobao-MM, for tests and measurements of its reader.

Users like a few of the categories; items of a category have similar vectors. Ids are
hashed, tables of users and vectors are sorted by the text of the id, and the oddities
of the public files are there: an id twice among the vectors, shown items and many of a
history without one, users twice.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfmm.datasets.taobao_mm_files import USER_FEATURES

CATEGORIES = 40
_SIZES = (11, 3, 49, 493, 6)
_CHUNK = 500


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is written.

    Args:
        users: Users of training; the test has a third as many, a tenth of them known.
        items: Items with a vector.
        history: Longest history.
        seed: Of every draw.
    """

    users: int = 2000
    items: int = 3000
    history: int = 1000
    seed: int = 7


class World:
    """Items and draws of users' rows."""

    def __init__(self, size: Size) -> None:
        self.size, self.rng = size, np.random.default_rng(size.seed)
        self.items = hashed(self.rng, size.items + size.items // 2)
        self.categories = hashed(self.rng, CATEGORIES)
        self.of_category = self.rng.integers(CATEGORIES, size=len(self.items))
        self.places = hashed(self.rng, 90)
        self.features = self.rng.integers(0, 90, (len(self.items), 2))
        self.values = [hashed(self.rng, count) for count in _SIZES]

    def vectors(self) -> np.ndarray:
        """int8 `[items, 128]`, as published: `trunc(127 v)` of unit vectors."""
        centres = self.rng.normal(size=(CATEGORIES, 128))
        noise = self.rng.normal(size=(self.size.items, 128))
        found = centres[self.of_category[: self.size.items]] + noise
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return np.trunc(127 * found).astype(np.int8)

    def rows(self, users: np.ndarray) -> tuple[pa.Table, pa.Table]:
        """The tables of samples and of user features of some users."""
        liked = self.rng.integers(CATEGORIES, size=(len(users), 4))
        shown = self.rng.integers(8, 15, len(users))
        full = self.rng.random(len(users)) < 0.9
        some = self.rng.integers(0, self.size.history + 1, len(users))
        lengths = np.where(full, self.size.history, some)
        items = [self._history(liked[i], n) for i, n in enumerate(lengths.tolist())]
        seen = self.rng.integers(len(self.items) * 2 // 3 + 2, size=int(shown.sum()))
        owner = np.repeat(np.arange(len(users)), shown)
        match = (self.of_category[seen][:, None] == liked[owner]).any(axis=1)
        clicked = self.rng.random(len(seen)) < np.where(match, 0.5, 0.1)
        labels = np.stack([~clicked, clicked], 1).astype(np.int8)
        samples = pa.table(
            {
                "label_0": _lists(labels.reshape(-1), np.full(len(seen), 2)),
                "129_1": users[owner],
                "205": self.items[seen],
            }
        )
        flat = np.concatenate(items)
        columns = {"129_1": users}
        for name, values in zip(USER_FEATURES, self.values, strict=True):
            columns[name] = values[self.rng.integers(len(values), size=len(users))]
        columns["150_2_180"] = _lists(self.items[flat], lengths)
        columns["151_2_180"] = _lists(self.categories[self.of_category[flat]], lengths)
        return samples, pa.table(columns)

    def item_table(self) -> pa.Table:
        """Features of all items that may be shown."""
        shown = len(self.items) * 2 // 3 + 2
        return pa.table(
            {
                "205": self.items[:shown],
                "206": self.categories[self.of_category[:shown]],
                "213": self.places[self.features[:shown, 0]],
                "214": self.places[self.features[:shown, 1]],
            }
        )

    def _history(self, liked: np.ndarray, length: int) -> np.ndarray:
        found = self.rng.integers(len(self.items), size=(length, 4))
        best = np.isin(self.of_category[found], liked).argmax(axis=1)
        return found[np.arange(length), best]


def write(folder: Path, size: Size, layouts: Sequence[str] = ("raw", "joined")) -> Path:
    """Writes the files below a folder: `raw/`, and with `joined` the shards too."""
    world = World(size)
    (folder / "raw").mkdir(parents=True)
    _write_vectors(folder / "raw", world)
    if "raw" in layouts:
        pq.write_table(world.item_table(), folder / "raw/item_features.parquet")
    train = hashed(world.rng, size.users)
    test = hashed(world.rng, size.users // 3)
    known = len(test) // 10
    test = np.concatenate([test[known:], train[:known]])
    for part, users in (("train", train), ("test", test)):
        _write_part(folder, world, part, world.rng.permutation(users), layouts)
    return folder


def hashed(rng: np.random.Generator, count: int) -> np.ndarray:
    """Distinct random int64 ids in no order, none of them 0."""
    return rng.permutation(np.unique(rng.integers(1, 2**63 - 1, 2 * count)))[:count] * (
        rng.choice([-1, 1], count)
    )


def _write_part(
    folder: Path, world: World, part: str, users: np.ndarray, layouts: Sequence[str]
) -> None:
    raw, items = folder / "raw", world.item_table()
    (folder / part).mkdir(exist_ok=True)
    writers: dict[str, pq.ParquetWriter] = {}
    order = np.argsort(users.astype(str)) if "joined" not in layouts else None
    users = users if order is None else users[order]
    for number, start in enumerate(range(0, len(users), _CHUNK)):
        samples, features = world.rows(users[start : start + _CHUNK])
        if "raw" in layouts:
            for name, table in (("samples", samples), ("user_features", features)):
                path = raw / f"{part}_{name}.parquet"
                if name not in writers:
                    writers[name] = pq.ParquetWriter(
                        path, table.schema, compression="zstd"
                    )
                writers[name].write_table(table, row_group_size=10_000)
        if "joined" in layouts:
            joined = samples.append_column("row", pa.array(range(len(samples))))
            joined = _joined(joined, features, items)
            path = folder / part / f"{part}-shard-{number:06d}.parquet"
            pq.write_table(joined, path, row_group_size=1000, compression="zstd")
    for writer in writers.values():
        writer.close()


def _joined(samples: pa.Table, features: pa.Table, items: pa.Table) -> pa.Table:
    place = {user: i for i, user in enumerate(features["129_1"].to_pylist())}
    rows = pa.array([place[user] for user in samples["129_1"].to_pylist()])
    item = {key: i for i, key in enumerate(items["205"].to_pylist())}
    own = pa.array([item[key] for key in samples["205"].to_pylist()])
    columns = {"label_0": samples["label_0"]}
    columns |= {name: features[name].take(rows) for name in features.column_names}
    columns |= {name: items[name].take(own) for name in items.column_names}
    return pa.table(columns)


def _write_vectors(raw: Path, world: World) -> None:
    ids, codes = world.items[: world.size.items], world.vectors()
    order = np.argsort(ids.astype(str))
    order = np.r_[order, order[:1]]
    vectors = _lists(codes[order].reshape(-1), np.full(len(order), 128))
    table = pa.table({"205": ids[order], "205_c": vectors})
    pq.write_table(table, raw / "scl_embedding_int8_p90.parquet")


def _lists(values: np.ndarray, lengths: np.ndarray) -> pa.ListArray:
    starts = np.r_[0, np.cumsum(lengths)].astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(starts), pa.array(values))
