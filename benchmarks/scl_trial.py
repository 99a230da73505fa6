"""One method on one data set with one seed: what a cell of the ablation trains."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.scl_data import PairSet

DIMENSION, TOKENS, RATE = 64, 16, 1e-3


@dataclass(frozen=True)
class Size:
    """How much is trained.

    Args:
        items: Of the simulated marketplace.
        searches: Of the simulated marketplace.
        steps: Of every method.
        bank: Keys of the memory bank.
        seeds: Of the marketplace; the public sets take the first.
        batch: Pairs per step.
    """

    items: int = 20_000
    searches: int = 60_000
    steps: int = 1_000
    bank: int = 4_096
    seeds: tuple[int, ...] = (0, 1, 2)
    batch: int = 64


class Trial:
    """One method on one data set with one seed."""

    def __init__(self, data: PairSet, size: Size, seed: int) -> None:
        import keras

        import tfmm

        keras.utils.set_random_seed(seed)
        self.data, self.size = data, size
        self.rng = np.random.default_rng(seed)
        side = data.pictures.shape[1]
        self.image = tfmm.encoders.image("micro", dimension=DIMENSION, image_size=side)

    @cached_property
    def text(self) -> Any:
        import tfmm

        return tfmm.encoders.text(
            "micro",
            titles=[*self.data.titles, *(self.data.query_words or [])],
            dimension=DIMENSION,
            sequence_length=TOKENS,
            vocabulary_size=2_000,
        )

    def run(self, method: str) -> dict[str, float]:
        if method == "classifier":
            self._classify()
        elif method in ("clip", "simclr"):
            self._fit_items(method)
        elif method != "random":
            self._fit_pairs(method)
        return self._accuracy()

    def _classify(self) -> None:
        import keras

        classes = int(self.data.classes.max()) + 1
        head = keras.layers.Dense(classes)(self.image.tower.output * 10.0)
        model = keras.Model(self.image.tower.input, head)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(optimizer=self._optimizer(), loss=loss, jit_compile=False)

        def batches() -> Any:
            while True:
                rows = self._items()
                yield self.data.pictures[rows], self.data.classes[rows]

        model.fit(batches(), steps_per_epoch=self.size.steps, verbose=0, shuffle=False)

    def _fit_items(self, method: str) -> None:
        """Items against themselves: title against picture, or two augmentations."""
        import tensorflow as tf

        import tfmm

        if method == "clip":
            tokens = self._tokens(self.data.titles)
            task, encoders = "item:text->image", {"text": self.text}
        else:
            task, encoders = "item:image->image", {}

        def batch() -> dict[str, np.ndarray]:
            rows = self._items()
            made = _parts(self.data, rows, self.data.groups[rows])
            made["source"] = np.full(len(rows), 2, np.int32)
            if method == "clip":
                made |= {"query_text": tokens[rows], "has_query_text": _yes(rows)}
            else:
                seeds = self.rng.integers(0, 2**31, (2, 2))
                pictures = [
                    tfmm.pretrain.augment_pictures(
                        tf.constant(self.data.pictures[rows]), seed, strength=4.0
                    ).numpy()
                    for seed in seeds
                ]
                made |= {"query_image": pictures[0], "has_query_image": _yes(rows)}
                made["item_image"] = pictures[1]
            return made

        scl = tfmm.SCL(
            image=self.image,
            **encoders,
            tasks=[task],
            bank_size=0,
            triplet_weight=0.0,
            symmetric=True,
        )
        self._fit(scl, batch)

    def _fit_pairs(self, method: str) -> None:
        import tfmm

        data, words = self.data, self.data.query_words
        tokens = self._tokens(words) if words else None

        def batch() -> dict[str, np.ndarray]:
            pairs = data.train[self.rng.integers(0, len(data.train), self.size.batch)]
            query, item = pairs.T
            made = _parts(data, item, data.groups[item])
            given = data.negatives[query]
            count = (given >= 0).sum(axis=1)
            pick = (self.rng.random(len(query)) * np.maximum(count, 1)).astype(int)
            negative = given[np.arange(len(query)), pick]
            there = (negative >= 0) & (method == "triplet")
            made["negative"] = np.where(there, negative + 2, 0).astype(np.int32)
            made["negative_image"] = data.pictures[np.maximum(negative, 0)]
            made["has_negative_image"] = there
            if tokens is None:
                made["query_image"] = data.query_pictures[query]
                made["has_query_image"] = _yes(query)
            else:
                made |= {"query_text": tokens[query], "has_query_text": _yes(query)}
            return made

        scl = tfmm.SCL(
            image=self.image,
            text=self.text if words else None,
            tasks=["text->image" if words else "image->image"],
            bank_size=0 if method == "in_batch" else self.size.bank,
            triplet_weight=10.0 if method == "triplet" else 0.0,
        )
        self._fit(scl, batch)

    def _fit(self, scl: Any, batch: Callable[[], dict[str, np.ndarray]]) -> None:
        import tensorflow as tf

        def batches() -> Any:
            while True:
                yield batch()

        signature = {
            name: tf.TensorSpec(value.shape, value.dtype)
            for name, value in batch().items()
        }
        data = tf.data.Dataset.from_generator(batches, output_signature=signature)
        scl.compile(optimizer=self._optimizer())
        scl.fit(data.prefetch(4), steps_per_epoch=self.size.steps, verbose=0)

    def _optimizer(self) -> Any:
        import keras

        warmup = max(1, self.size.steps // 10)
        schedule = keras.optimizers.schedules.CosineDecay(
            RATE / 10, self.size.steps - warmup, warmup_target=RATE, warmup_steps=warmup
        )
        return keras.optimizers.AdamW(schedule)

    def _accuracy(self) -> dict[str, float]:
        from tfmm.pretrain import accuracy, answer_ranks

        data = self.data
        items = np.unique(data.test[:, 1])
        found = _vectors(self.image.tower, data.pictures[items])
        groups = data.groups[items]
        queries, first = np.unique(data.test[:, 0], return_inverse=True)
        if data.query_words:
            words = [data.query_words[place] for place in queries]
            asked = _vectors(self.text.tower, self._tokens(words))
        else:
            asked = _vectors(self.image.tower, data.query_pictures[queries])
        answers = _ragged(first, data.groups[data.test[:, 1]], len(queries))
        ranks = answer_ranks(asked, found, answers, ids=groups)
        return {"acc1": accuracy(ranks, 1), "acc5": accuracy(ranks, 5)}

    def _items(self) -> np.ndarray:
        return self.rng.integers(0, len(self.data.pictures), self.size.batch)

    def _tokens(self, texts: list[str]) -> np.ndarray:
        return np.asarray(self.text.preprocess(np.array(texts, dtype=object)))


def _parts(data: PairSet, item: np.ndarray, group: np.ndarray) -> dict[str, Any]:
    side = data.pictures.shape[1]
    return {
        "item": (item + 2).astype(np.int32),
        "group": (group + 2).astype(np.int32),
        "item_image": data.pictures[item],
        "has_item_image": _yes(item),
        "negative": np.zeros(len(item), np.int32),
        "negative_image": np.zeros((len(item), side, side, 3), np.uint8),
        "has_negative_image": ~_yes(item),
    }


def _yes(rows: np.ndarray) -> np.ndarray:
    return np.ones(len(rows), bool)


def _vectors(tower: Any, rows: np.ndarray) -> np.ndarray:
    return tower.predict(rows, batch_size=512, verbose=0)


def _ragged(rows: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Values by row, -1 fills."""
    found: list[set[int]] = [set() for _ in range(count)]
    for row, value in zip(rows.tolist(), values.tolist(), strict=True):
        found[row].add(value)
    width = max(map(len, found))
    return np.array([[*sorted(some), *[-1] * (width - len(some))] for some in found])
