"""MovieLens's words that lead to a movie, with posters, as a set of pairs."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from benchmarks.scl_data import PairSet, decoded

_TEST_SHARE = 0.1


def movielens_pairs(folder: Path) -> PairSet:
    """Words (tags, plots, keywords) that lead to a movie that has a poster.

    A tenth of the distinct queries, drawn at random, is the test: tags and ratings have
    no common days to split by.

    Args:
        folder: What `tfmm.datasets.movielens.convert` wrote.
    """
    items = pq.read_table(folder / "items.parquet")
    files = [
        None if path is None else (folder / path).read_bytes()
        for path in items["image"].to_pylist()
    ]
    pictures, there = decoded(files)
    place = {movie: number for number, movie in enumerate(items["movieId"].to_pylist())}
    searches = pq.read_table(folder / "searches.parquet")
    answer = np.array([place[movie] for movie in searches["bought_item"].to_pylist()])
    texts = np.array(searches["query_text"].to_pylist(), dtype=object)
    kept = there[answer]
    words, query = np.unique(texts[kept].astype(str), return_inverse=True)
    pairs = np.unique(np.stack([query, answer[kept]], axis=1), axis=0)
    is_test = np.random.default_rng(0).random(len(words)) < _TEST_SHARE
    genres = np.unique(
        [genre or "" for genre in items["main_genre"].to_pylist()], return_inverse=True
    )[1]
    return PairSet(
        pictures=pictures,
        has_picture=there[:-1],
        titles=[text or "" for text in items["text"].to_pylist()],
        attributes={"main_genre": genres},
        groups=np.arange(len(place)),
        query_pictures=None,
        query_words=[str(text) for text in words],
        train=pairs[~is_test[pairs[:, 0]]],
        test=pairs[is_test[pairs[:, 0]]],
        negatives=np.full((len(words), 4), -1),
    )
