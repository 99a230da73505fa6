"""Impressions with long histories, for comparing training speed and AUC.

Items belong to kinds; a user likes a few of them. What a user looked at and what is
shown to a user follow a Zipf law within each kind, and a liked kind is clicked more
often. A model finds this through the embeddings of the candidate and of the history.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

KINDS, LIKED = 8, 2
HISTORY, SHOWN = 50, (8, 11)
ZIPF = 1.3
FROM_LIKED, SHOWN_LIKED = 0.9, 0.5
CLICK_LIKED, CLICK_OTHER = 0.6, 0.05


@dataclass(frozen=True)
class Sizes:
    """How many of everything.

    Args:
        ids: Item ids.
        rows: Impressions to train on.
        test: Impressions held out.
    """

    ids: int
    rows: int
    test: int

    @property
    def users(self) -> int:
        return max(self.ids // 10, 100)


def write_data(path: Path, sizes: Sizes, seed: int = 0) -> Path:
    """Writes impressions by row and, the same ones, by request.

    Rows (`row_*`, `test_*`): `user` `[R]`, `item` `[R]`, `history` `[R, 50]`, `label`
    `[R]`, shuffled. Requests (`request_*`): `user` `[Q]`, `item` `[Q, 11]`, `count`
    `[Q]` of its 8 to 11 candidates, `history` `[Q, 50]`, `label` `[Q, 11]`. Ids start
    at 2; 0 fills.

    Args:
        path: The npz file.
        sizes: How many.
        seed: Of everything random.
    """
    rng = np.random.default_rng(seed)
    train = requests(rng, sizes, sizes.rows)
    test = as_rows(requests(rng, sizes, sizes.test), sizes.test, rng)
    arrays = {
        **{f"request_{name}": value for name, value in train.items()},
        **{f"row_{k}": v for k, v in as_rows(train, sizes.rows, rng).items()},
        **{f"test_{name}": value for name, value in test.items()},
    }
    np.savez(path, ids=sizes.ids + 2, users=sizes.users + 2, **arrays)
    return path


def requests(
    rng: np.random.Generator, sizes: Sizes, rows: int
) -> dict[str, np.ndarray]:
    """Requests with at least `rows` impressions in all."""
    low, high = SHOWN
    count = rng.integers(low, high + 1, 2 * rows // (low + high) + rows // low // 8 + 9)
    count = count[: int(np.searchsorted(np.cumsum(count), rows)) + 1]
    total = len(count)
    liked = rng.random((total, KINDS)).argpartition(LIKED, axis=1)[:, :LIKED]
    history = draw(rng, sizes.ids, liked, HISTORY, FROM_LIKED)
    item = draw(rng, sizes.ids, liked, high, SHOWN_LIKED)
    match = ((item - 2)[..., None] % KINDS == liked[:, None]).any(axis=2)
    chance = np.where(match, CLICK_LIKED, CLICK_OTHER)
    shown = np.arange(high) < count[:, None]
    # The same user has other tastes in another request: only the history tells.
    return {
        "user": rng.integers(2, sizes.users + 2, total).astype(np.int32),
        "item": np.where(shown, item, 0).astype(np.int32),
        "count": count.astype(np.int32),
        "history": history.astype(np.int32),
        "label": (shown & (rng.random(item.shape) < chance)).astype(np.float32),
    }


def draw(
    rng: np.random.Generator, ids: int, liked: np.ndarray, count: int, share: float
) -> np.ndarray:
    """int64 `[Q, count]`, ids of which about `share` are of liked kinds."""
    shape = len(liked), count
    mine = np.take_along_axis(liked, rng.integers(0, LIKED, shape), axis=1)
    kind = np.where(rng.random(shape) < share, mine, rng.integers(0, KINDS, shape))
    weights = np.arange(1, ids // KINDS + 1, dtype=np.float64) ** -ZIPF
    places = np.cumsum(weights) / weights.sum()
    rank = np.searchsorted(places, rng.random(shape)).clip(max=len(weights) - 1)
    return 2 + rank * KINDS + kind


def as_rows(
    requests: dict[str, np.ndarray], rows: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The first `rows` impressions of requests, shuffled, each with its history."""
    place, candidate = np.nonzero(requests["item"])
    order = rng.permutation(len(place))[:rows]
    place, candidate = place[order], candidate[order]
    return {
        "user": requests["user"][place],
        "item": requests["item"][place, candidate],
        "history": requests["history"][place],
        "label": requests["label"][place, candidate],
    }
