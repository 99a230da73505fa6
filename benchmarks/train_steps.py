"""Training steps of tfmm's ranker whose times are compared with each other."""

import time
from collections.abc import Callable
from itertools import cycle
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np

from benchmarks.train_data import HISTORY, SHOWN, Sizes, requests

EMBEDDING, VECTOR, BATCH, RATE = 16, 64, 1024, 0.001
Step = Callable[[], None]


def batches(ids: int, count: int, shown: bool, rows: int = BATCH) -> list[Any]:
    """Batches of about `rows` impressions as tensors; one candidate each or 8 to 11."""
    import tensorflow as tf

    rng = np.random.default_rng(1)
    size = 2 * rows // sum(SHOWN) if shown else rows
    drawn = requests(rng, Sizes(ids, 0, 0), count * size * SHOWN[1])
    keep = slice(None) if shown else slice(0, 1)
    found = []
    for begin in range(0, count * size, size):
        part = {name: value[begin : begin + size] for name, value in drawn.items()}
        item, label = part["item"][:, keep], part["label"][:, keep]
        batch = {
            "user": part["user"],
            "history_item": part["history"],
            "history_type": np.full_like(part["history"], 2),
            "n_history": np.full(size, HISTORY, np.int32),
            "item": item,
            "n_items": (item != 0).sum(axis=1).astype(np.int32),
            "label_click": label,
        }
        found.append(tf.nest.map_structure(tf.constant, batch))
    return found


def vocabularies(ids: int, users: int) -> Any:
    """Sizes without a data set on disk; every item has an embedding of its own."""
    from tfmm.records.spec import RequestSpec

    lengths = HISTORY, SHOWN[1]
    spec = RequestSpec(users, ids, ids, (), ("view",), ("click",), *lengths)
    items = SimpleNamespace(
        embedding_row=np.arange(ids, dtype=np.int32),
        codes=np.zeros((ids, 0), np.int32),
        numbers=np.zeros((ids, 0), np.float32),
    )
    return SimpleNamespace(spec=spec, items=items, index_stamp={})


def vector_tables(ids: int) -> dict[str, Any]:
    """Random int8 vectors of every item."""
    codes = np.random.default_rng(2).integers(-127, 128, (ids, VECTOR), np.int8)
    codes[:2] = 0
    squared = np.einsum("nd,nd->n", codes, codes, dtype=np.float32)
    present = squared > 0
    inverse = np.where(present, 1 / np.sqrt(np.maximum(squared, 1)), 0)
    table = SimpleNamespace(
        codes=codes, inverse_norm=inverse.astype(np.float32), present=present
    )
    return {"image": table}


def ranker_step(ids: int, given: list[Any], multimodal: bool = False) -> Step:
    """`train_on_batch` of the ID-only ranker, or of it with SimTier and MAKE."""
    from tfmm.ranking import MAKE, LazyAdam, RankingModel

    catalog, interests = None, ("din",)
    if multimodal:
        catalog = vector_tables(ids + 2)
        interests = ("din", "simtier", MAKE(catalog))
    model = RankingModel(
        vocabularies(ids + 2, Sizes(ids, 0, 0).users + 2),
        catalog,
        interests=interests,
        embedding_dim=EMBEDDING,
    )
    model.compile(LazyAdam(RATE))
    return _over(given, model.train_on_batch)


def embedding_step(ids: int, given: list[Any]) -> Step:
    """The item embedding alone: rows read, their gradient made and applied."""
    import tensorflow as tf

    from tfmm.layers import Embedding
    from tfmm.ranking import LazyAdam

    embedding = Embedding(ids + 2, EMBEDDING)
    embedding.build()
    optimizer = LazyAdam(RATE)
    optimizer.build(embedding.trainable_variables)

    @tf.function(reduce_retracing=True)
    def step(batch: Any) -> None:
        read = tf.concat([batch["history_item"], batch["item"]], axis=1)
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.square(embedding(read)))
        gradients = tape.gradient(loss, embedding.trainable_variables)
        optimizer.apply(gradients)

    return _over(given, step)


def _over(given: list[Any], step: Callable[[Any], Any]) -> Step:
    turn = cycle(given)

    def one() -> None:
        step(next(turn))

    return one


def step_seconds(steps: dict[str, Step], rounds: int, count: int) -> dict[str, float]:
    """Median over rounds of the seconds of a step, the cases taking turns.

    Args:
        steps: By name.
        rounds: Of `count` steps each; one more comes before and is not counted.
        count: Steps of a round.
    """
    found: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds + 1):
        for name, step in steps.items():
            begin = time.perf_counter()
            for _ in range(count):
                step()
            found[name].append((time.perf_counter() - begin) / count)
    return {name: median(times[1:]) for name, times in found.items()}
