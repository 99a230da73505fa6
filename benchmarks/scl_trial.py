"""One method on one data set with one seed: what a cell of the ablation trains."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from benchmarks.scl_data import PairSet

RATE = 1e-3
# Tokens of a text; descriptions are longer.
TOKENS, LONG = 16, 48


@dataclass(frozen=True)
class Size:
    """How much is trained, and how.

    Args:
        items: Of the simulated marketplace.
        searches: Of the simulated marketplace.
        steps: Of every method.
        bank: Keys of the memory bank.
        batch: Pairs per step.
        temperature: tau at the start.
        triplet: Weight of the triplet term.
        momentum: Of the copy that fills the bank.
        dimension: Length of the vectors.
        pairs: Training pairs to draw from; `None` for all.
        seeds: Of the marketplace; the public sets take the first.
    """

    items: int = 20_000
    searches: int = 60_000
    steps: int = 2_000
    bank: int = 4_096
    batch: int = 64
    temperature: float = 0.07
    triplet: float = 10.0
    momentum: float = 0.99
    dimension: int = 64
    pairs: int | None = None
    seeds: tuple[int, ...] = (0, 1, 2)

    def settings(self) -> dict[str, Any]:
        """What a result depends on beside data, method and seed."""
        about_data = ("items", "searches", "seeds")
        return {k: v for k, v in asdict(self).items() if k not in about_data}


class Trial:
    """One method on one data set with one seed."""

    def __init__(self, data: PairSet, size: Size, seed: int) -> None:
        import keras

        import tfmm

        keras.utils.set_random_seed(seed)
        self.data, self.size = data, size
        self.rng = np.random.default_rng(seed)
        side = data.pictures.shape[1]
        self.image = tfmm.encoders.image(
            "micro", dimension=size.dimension, image_size=side
        )
        self.scl: Any = None

    @cached_property
    def text(self) -> Any:
        import tfmm

        return tfmm.encoders.text(
            "micro",
            titles=[*self.data.titles, *(self.data.query_words or [])],
            dimension=self.size.dimension,
            sequence_length=LONG if self.data.described else TOKENS,
            vocabulary_size=2_000,
        )

    @cached_property
    def title_tokens(self) -> np.ndarray:
        return self._tokens(self.data.titles)

    @cached_property
    def answers(self) -> np.ndarray:
        """int32 `[Q, A]`: by query, the groups of its training answers; 0 fills."""
        queries, items = self.data.train.T
        table = _ragged(queries, self.data.groups[items], int(queries.max()) + 1)
        return (table + 2 * (table >= 0) + (table < 0)).astype(np.int32)

    def run(self, method: str) -> dict[str, float]:
        if method == "classifier":
            self._classify()
        elif method in ("clip", "simclr"):
            self._fit_items(method)
        elif method != "random":
            self._fit_pairs(method)
        return self._accuracy()

    def _classify(self) -> None:
        """A head for each categorical column of the items table."""
        import keras

        heads = {
            name: keras.layers.Dense(int(values.max()) + 1, name=name)(
                self.image.tower.output * 10.0
            )
            for name, values in self.data.attributes.items()
        }
        model = keras.Model(self.image.tower.input, heads)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(
            optimizer=self._optimizer(),
            loss=dict.fromkeys(heads, loss),
            jit_compile=False,
        )

        def batches() -> Any:
            while True:
                rows = self._items(self.data.has_picture)
                labels = {name: v[rows] for name, v in self.data.attributes.items()}
                yield self.data.pictures[rows], labels

        model.fit(batches(), steps_per_epoch=self.size.steps, verbose=0, shuffle=False)

    def _fit_items(self, method: str) -> None:
        """Items against themselves: title against picture, or two augmentations.

        All items of the catalogue take part, those of the test's searches included: a
        shop knows its items before they are searched for.
        """
        import tensorflow as tf

        import tfmm

        usable = self.data.has_picture
        if method == "clip":
            usable = usable & np.array([bool(title) for title in self.data.titles])
            task, encoders = "item:text->image", {"text": self.text}
        else:
            task, encoders = "item:image->image", {}

        def batch() -> dict[str, np.ndarray]:
            rows = self._items(usable)
            made = _parts(self.data, rows)
            made["source"] = np.full(len(rows), 2, np.int32)
            if method == "clip":
                made["query_text"] = self.title_tokens[rows]
                made["has_query_text"] = _yes(rows)
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

        self.scl = tfmm.SCL(
            image=self.image,
            **encoders,
            tasks=[task],
            bank_size=0,
            temperature_init=self.size.temperature,
            triplet_weight=0.0,
            symmetric=True,
        )
        self._fit(batch)

    def _fit_pairs(self, method: str) -> None:
        import tfmm

        data, hard = self.data, method == "triplet"
        train = data.train
        if self.size.pairs is not None:
            train = self.rng.permutation(train)[: self.size.pairs]
        words = None if data.query_words is None else self._tokens(data.query_words)

        def batch() -> dict[str, np.ndarray]:
            pairs = train[self.rng.integers(0, len(train), self.size.batch)]
            query, item = pairs.T
            made = _parts(data, item)
            if self.answers.shape[1] > 1:
                own = self.answers[query] == made["group"][:, None]
                made["positives"] = np.where(own, 0, self.answers[query])
            negative = self._negatives(query)
            there = (negative >= 0) & hard
            made |= _negative_parts(data, negative, there)
            if words is not None:
                made |= {"query_text": words[query], "has_query_text": _yes(query)}
            else:
                made["query_image"] = data.query_pictures[query]
                made["has_query_image"] = _yes(query)
            if data.described:
                made |= {
                    "item_text": self.title_tokens[item],
                    "has_item_text": _yes(item),
                    "negative_text": self.title_tokens[np.maximum(negative, 0)],
                    "has_negative_text": there,
                }
            return made

        tasks = ["text->image" if words is not None else "image->image"]
        self.scl = tfmm.SCL(
            image=self.image,
            text=self.text if words is not None or data.described else None,
            tasks=[*tasks, *(["image->text"] if data.described else [])],
            bank_size=0 if method == "in_batch" else self.size.bank,
            momentum=self.size.momentum,
            temperature_init=self.size.temperature,
            triplet_weight=self.size.triplet if hard else 0.0,
        )
        self._fit(batch)

    def _negatives(self, query: np.ndarray) -> np.ndarray:
        """One of each query's clicked-not-bought items, -1 where it has none."""
        given = self.data.negatives[query]
        count = (given >= 0).sum(axis=1)
        pick = (self.rng.random(len(query)) * np.maximum(count, 1)).astype(int)
        return given[np.arange(len(query)), pick]

    def _fit(self, batch: Callable[[], dict[str, np.ndarray]]) -> None:
        import tensorflow as tf

        def batches() -> Any:
            while True:
                yield batch()

        signature = {
            name: tf.TensorSpec(value.shape, value.dtype)
            for name, value in batch().items()
        }
        data = tf.data.Dataset.from_generator(batches, output_signature=signature)
        self.scl.compile(optimizer=self._optimizer())
        self.scl.fit(data.prefetch(4), steps_per_epoch=self.size.steps, verbose=0)

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
        queries, first = np.unique(data.test[:, 0], return_inverse=True)
        answers = _ragged(first, data.groups[data.test[:, 1]], len(queries))
        asked, found = self._vectors(queries, items)
        ranks = answer_ranks(asked, found, answers, ids=data.groups[items])
        return {"acc1": accuracy(ranks, 1), "acc5": accuracy(ranks, 5)}

    def _vectors(
        self, queries: np.ndarray, items: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Queries and candidates; the mean cosine where items have descriptions too."""
        data, image = self.data, self.image.tower
        pictures = _predicted(image, data.pictures[items])
        if data.query_words is not None:
            tokens = self._tokens([data.query_words[place] for place in queries])
            return _predicted(self.text.tower, tokens), pictures
        asked = _predicted(image, data.query_pictures[queries])
        if not data.described or self.scl is None or self.scl.text is None:
            return asked, pictures
        titles = _predicted(self.text.tower, self.title_tokens[items])
        # CLIP has one tower for pictures, SCL one for each thing that is looked for.
        other = self.scl.query_towers.get("image_to_text", image)
        more = _predicted(other, data.query_pictures[queries])
        both = [np.concatenate(x, axis=1) for x in ((asked, more), (pictures, titles))]
        return both[0] / np.sqrt(2), both[1] / np.sqrt(2)

    def _items(self, usable: np.ndarray) -> np.ndarray:
        return self.rng.choice(np.flatnonzero(usable), self.size.batch)

    def _tokens(self, texts: list[str]) -> np.ndarray:
        return np.asarray(self.text.preprocess(np.array(texts, dtype=object)))


def _parts(data: PairSet, item: np.ndarray) -> dict[str, Any]:
    """The items of a batch, without hard negatives."""
    return {
        "item": (item + 2).astype(np.int32),
        "group": (data.groups[item] + 2).astype(np.int32),
        "item_image": data.pictures[item],
        "has_item_image": _yes(item),
        **_negative_parts(data, np.full(len(item), -1), ~_yes(item)),
    }


def _negative_parts(
    data: PairSet, negative: np.ndarray, there: np.ndarray
) -> dict[str, np.ndarray]:
    place = np.maximum(negative, 0)
    return {
        "negative": np.where(there, negative + 2, 0).astype(np.int32),
        "negative_group": np.where(there, data.groups[place] + 2, 0).astype(np.int32),
        "negative_image": data.pictures[place],
        "has_negative_image": there,
    }


def _yes(rows: np.ndarray) -> np.ndarray:
    return np.ones(len(rows), bool)


def _predicted(tower: Any, rows: np.ndarray) -> np.ndarray:
    return tower.predict(rows, batch_size=512, verbose=0)


def _ragged(rows: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """Values by row, -1 fills."""
    found: list[set[int]] = [set() for _ in range(count)]
    for row, value in zip(rows.tolist(), values.tolist(), strict=True):
        found[row].add(value)
    width = max(map(len, found))
    return np.array([[*sorted(some), *[-1] * (width - len(some))] for some in found])
