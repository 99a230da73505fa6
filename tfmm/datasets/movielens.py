"""MovieLens with posters as tables with a schema, and the score that has to be beaten.

The source folder holds `ml-latest-small/{ratings,movies,tags}.csv` as GroupLens
publishes them, `posters.zip` with `posters/<movieId>.jpg`, and
`plots_ml1m_omdb.csv` with plots, directors and actors of some movies.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from tfmm.datasets.movielens_features import (
    ITEM_PRIOR,
    LIKED,
    USER_PRIOR,
    as_of,
)
from tfmm.datasets.movielens_posters import extract_posters
from tfmm.datasets.movielens_source import MovieLens, read_source
from tfmm.datasets.movielens_texts import item_table, search_table
from tfmm.errors import TfmmError
from tfmm.evaluation.metrics import auc, gauc
from tfmm.records.manifest import read_manifest, write_manifest, writing
from tfmm.records.split import TEST, TRAIN, per_user_last_fraction
from tfmm.schema import PerUserLastFraction, Schema

KIND = "movielens"
REQUEST_ITEMS = 8
_TEST_FRACTION = 0.2


def convert(
    source: str | Path, folder: str | Path, users: int | None = None, seed: int = 7
) -> Path:
    """Writes MovieLens as tables with a schema.

    - `items.parquet`: every movie: `movieId`, `title`, `year`, `genres`, `main_genre`,
      `text` (title and genres: what the text tower reads), `image` (path of the poster
      below `folder`).
    - `impressions.parquet`: every rating: `userId`, `movieId`, `timestamp`, `click`
      (rating of 4 or more), and six features as they were known before the rating, see
      `movielens_features.as_of`.
    - `searches.parquet`: words that lead to a movie, see
      `movielens_texts.search_table`. There is no query by picture: a movie has one
      poster, and an altered copy of it is no other view.
    - `schema.yaml`: the roles; the last fifth of every user's moments is the test.

    Args:
        source: The source folder.
        folder: Where to write; replaced as a whole, and only when all is done.
        users: For a reduced size: so many users drawn at random, and the movies that
            they rated or tagged. `None` for all.
        seed: Of that draw.

    Returns:
        The folder.

    Raises:
        TfmmError: If a file or column is missing or a value has the wrong type, or
            `users` is more than there are.
    """
    data = read_source(Path(source))
    counts: dict[str, Any] = {"read": len(data.ratings["userId"])}
    known_since = _first_rating(data.ratings)
    if users is not None:
        data = _some_users(data, users, seed)
    with writing(folder) as tmp:
        posters, left_out = extract_posters(data.posters, tmp, data.movies["movieId"])
        items = item_table(data, posters)
        searches, unsearched = search_table(data, known_since)
        impressions = impression_table(data.ratings)
        tables = {"items": items, "impressions": impressions, "searches": searches}
        for name, table in tables.items():
            pq.write_table(table, tmp / f"{name}.parquet", compression="zstd")
        schema_of().to_yaml(tmp / "schema.yaml")
        counts["written"] = {name: table.num_rows for name, table in tables.items()}
        counts["dropped"] = {"other_users": counts["read"] - impressions.num_rows}
        write_manifest(
            tmp,
            kind=KIND,
            counts=counts,
            posters={"written": len(posters), "dropped": left_out},
            texts_without_a_movie=unsearched,
            seed=seed,
            users=users,
        )
    return Path(folder)


def impression_table(ratings: Mapping[str, np.ndarray]) -> pa.Table:
    """The impressions with their as-of features, in the order of the ratings.

    A training rating knows the training ratings strictly earlier. A test rating knows
    all training ratings, as a server does that starts when training ends: the split is
    each user's own, so other users' training ratings may be later by the calendar, as
    they are for everything else that is learnt from training.
    """
    user, item, time = ratings["userId"], ratings["movieId"], ratings["timestamp"]
    rating = ratings["rating"]
    train = per_user_last_fraction(user, time, _TEST_FRACTION) == TRAIN
    click = (rating >= LIKED).astype(np.int8)
    columns = {"userId": user, "movieId": item, "timestamp": time, "click": click}
    columns["request"] = request_ids(user, time)
    moment = np.where(train, time, np.max(time, initial=0) + 1)
    return pa.table(columns | as_of(user, item, moment, rating, train))


def request_ids(user: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Numbers of requests: the ratings of one user and moment, eight at a time.

    A third of the ratings share a moment with others, up to 87: lists that people
    filled in at once. Shorter requests spare the padding.

    Args:
        user: int64 `[R]`.
        time: int64 `[R]`.

    Returns:
        int64 `[R]`.

    Example:
        >>> request_ids(np.array([1, 2, 1]), np.array([5, 5, 5])).tolist()
        [0, 1, 0]
    """
    order = np.lexsort((time, user))
    changed = (np.diff(user[order]) != 0) | (np.diff(time[order]) != 0)
    moment = np.r_[0, np.cumsum(changed)]
    first = np.r_[0, np.flatnonzero(changed) + 1][moment]
    number = moment * len(user) + (np.arange(len(user)) - first) // REQUEST_ITEMS
    ids = np.empty_like(number)
    ids[order] = np.unique(number, return_inverse=True)[1]
    return ids


def bar(folder: str | Path, with_poster_only: bool = False) -> dict[str, float]:
    """AUC and GAUC of item mean + user mean: the score that a model has to beat.

    Both means are smoothed like rates and computed once from all training ratings.

    Args:
        folder: A folder that `convert` wrote.
        with_poster_only: Whether to keep only ratings of movies with a poster, in
            training and test.

    Returns:
        `auc`, `gauc`, `auc_item_mean`, `auc_user_mean`, and `rows`, the number of test
        ratings.
    """
    found = bar_scores(folder, with_poster_only)
    user, label = found["user"], found["label"]
    return {
        "auc": auc(label, found["score"]),
        "gauc": gauc(user, label, found["score"]).value,
        "auc_item_mean": auc(label, found["item_mean"]),
        "auc_user_mean": auc(label, found["user_mean"]),
        "rows": len(label),
    }


def bar_scores(
    folder: str | Path, with_poster_only: bool = False
) -> dict[str, np.ndarray]:
    """The test ratings scored by item mean + user mean, see `bar`.

    Args:
        folder: A folder that `convert` wrote.
        with_poster_only: As of `bar`.

    Returns:
        Arrays over the test ratings: `user` and `item` (raw ids), `time` (int64,
        seconds), `label` (0 or 1), `item_mean`, `user_mean` and their sum `score`.
    """
    folder = Path(folder)
    read_manifest(folder, kind=KIND)
    rule = Schema.from_yaml(folder / "schema.yaml").split
    assert isinstance(rule, PerUserLastFraction)
    table = pq.read_table(folder / "impressions.parquet")
    user, item, time, click = (
        table[name].to_numpy() for name in ("userId", "movieId", "timestamp", "click")
    )
    if with_poster_only:
        items = pq.read_table(folder / "items.parquet", columns=["movieId", "image"])
        shown = items["movieId"].to_numpy()[items["image"].is_valid().to_numpy()]
        kept = np.isin(item, shown)
        user, item, time, click = (a[kept] for a in (user, item, time, click))
    part = per_user_last_fraction(user, time, rule.test_fraction)
    train, test = part == TRAIN, part == TEST
    of_item = _smoothed(item, click, train, ITEM_PRIOR)[test]
    of_user = _smoothed(user, click, train, USER_PRIOR)[test]
    return {
        "user": user[test],
        "item": item[test],
        "time": time[test],
        "label": click[test],
        "item_mean": of_item,
        "user_mean": of_user,
        "score": of_item + of_user,
    }


def schema_of() -> Schema:
    """The roles of the columns."""
    content = {
        "name": "movielens",
        "items": {
            "files": "items.parquet",
            "id": "movieId",
            "title": "text",
            "image": "image",
            "features": {"main_genre": "categorical", "year": "numeric"},
        },
        "impressions": {
            "files": "impressions.parquet",
            "user": "userId",
            "item": "movieId",
            "time": "timestamp",
            "labels": ["click"],
            "request": "request",
            "context": {
                f"user_{name}": "numeric" for name in ("mean", "count", "rating")
            },
            "features": {
                f"item_{name}": "numeric" for name in ("mean", "count", "gap")
            },
        },
        "searches": {
            "files": "searches.parquet",
            "time": "time",
            "query_text": "query_text",
            "bought": "bought_item",
        },
        "history": {"max_length": 50, "label": "click"},
        "requests": {"max_items": REQUEST_ITEMS},
        "media": {"image_size": 96},
        "split": {"rule": "per_user_last_fraction", "test_fraction": _TEST_FRACTION},
    }
    return Schema.model_validate(content)


def _smoothed(
    group: np.ndarray, click: np.ndarray, train: np.ndarray, weight: float
) -> np.ndarray:
    _, number = np.unique(group, return_inverse=True)
    count = np.bincount(number, weights=train)
    likes = np.bincount(number, weights=click * train)
    prior = click[train].mean()
    return ((likes + weight * prior) / (count + weight))[number]


def _first_rating(ratings: Mapping[str, np.ndarray]) -> dict[int, int]:
    order = np.argsort(ratings["timestamp"], kind="stable")
    movies, first = np.unique(ratings["movieId"][order], return_index=True)
    times = ratings["timestamp"][order][first]
    return dict(zip(movies.tolist(), times.tolist(), strict=True))


def _some_users(data: MovieLens, users: int, seed: int) -> MovieLens:
    everybody = np.unique(data.ratings["userId"])
    if not 1 <= users <= len(everybody):
        raise TfmmError(
            f"So many users cannot be drawn. Received: users={users}. "
            f"Give 1 to {len(everybody)}, or None for all."
        )
    chosen = np.random.default_rng(seed).choice(everybody, users, replace=False)
    return data.of_users(chosen)
