"""What a cell of the paper's tables trains and measures."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from benchmarks.paper_data import Shop

JOINT = 0
_RANKER = {"batch", "rate", "embedding_rate"}
_MAKE = {"steps", "epochs", "make_batch", "make_rate", "make_decay"}


@dataclass(frozen=True)
class Size:
    """How much is trained, and how: the same for all rows of a table.

    Args:
        batch: Requests per step.
        rate: Peak of the rankers' cosine schedule.
        embedding_rate: Multiple of it for ID embeddings.
        epochs: Of MAKE, and of the curves by epoch.
        make_batch: Requests per step of MAKE.
        make_rate: Of MAKE, cosine over all epochs.
        make_decay: Weight decay of MAKE.
        curve_rate: Constant rate of the ID-only curve by epoch.
        steps: SCL steps of the best tower.
        seeds: Of every cell.
    """

    batch: int = 128
    rate: float = 1e-2
    embedding_rate: float = 1.0
    epochs: int = 10
    make_batch: int = 128
    make_rate: float = 5e-3
    make_decay: float = 0.0
    curve_rate: float = 5e-3
    steps: int = 2_000
    seeds: tuple[int, ...] = (0, 1, 2)

    def settings(self, cell: Mapping[str, Any]) -> dict[str, Any]:
        """What a cell depends on beside its own key.

        Args:
            cell: Its key: a `kind`, and of a ranker what it uses.
        """
        names = set(_RANKER if cell["kind"] in ("ranker", "ids") else ())
        names |= {"steps"} if cell["kind"] == "tower" or "tower" in cell else set()
        names |= _MAKE if "make" in cell["kind"] or cell.get("make_epochs") else set()
        names |= {"epochs", "curve_rate"} if cell["kind"] == "ids" else set()
        names -= {"rate"} if cell["kind"] == "ids" else set()
        return {k: v for k, v in asdict(self).items() if k in names}

    @property
    def make_stamp(self) -> str:
        """Names the settings that decide MAKE's weights."""
        return "-".join(map(str, self.settings({"kind": "make"}).values()))

    @property
    def snapshots(self) -> tuple[int, ...]:
        """Epochs of MAKE from which a ranker starts, joint training first."""
        return tuple(range(JOINT, self.epochs + 1, max(1, self.epochs // 5)))


class Trial:
    """Trains on one shop with one tower's vectors and one seed."""

    def __init__(self, shop: Shop, catalog: Any, size: Size, seed: int) -> None:
        self.shop, self.catalog, self.size, self.seed = shop, catalog, size, seed

    def ranker(self, interests: Sequence[Any], make: Path | None = None) -> Any:
        """Scores of a ranker after its one epoch.

        Args:
            interests: As of a recipe's variants.
            make: The trained MAKE in place of its name; `None` trains a new one along.
        """
        model = self._ranking_model(interests, make)
        train = self._train(self.size.batch)
        self._compile(model, self._cosine(self.size.rate, len(train)))
        model.fit(train, epochs=1, shuffle=False, verbose=0)
        return self.measured(model)

    def id_epochs(self, reset: bool) -> dict[str, Any]:
        """GAUC by epoch of the ID-only ranker, at a constant rate.

        Args:
            reset: Whether embeddings start each epoch as they were at first.
        """
        from tfmm.ranking import ResetEmbeddings

        model = self._ranking_model(["din"], None)
        self._compile(model, self.size.curve_rate)
        resets = [ResetEmbeddings(model)] if reset else []
        return self._fit_epochs(model, self.size.batch, resets)

    def make_epochs(self, folder: Path, printed: bool = False) -> dict[str, Any]:
        """GAUC by epoch of MAKE.

        Args:
            folder: Where it is saved at the epochs of `snapshots`.
            printed: Whether its MLP sees v_MAKE alone.
        """
        import keras

        from tfmm import MAKE
        from tfmm.ranking import ranking_optimizer

        keras.utils.set_random_seed(self.seed)
        model = MAKE(self.catalog, candidate=not printed)
        steps = self.size.epochs * len(self._train(self.size.make_batch))
        rate = self._cosine(self.size.make_rate, steps)
        decay = self.size.make_decay or None
        model.compile(optimizer=ranking_optimizer(rate, weight_decay=decay))
        folder.mkdir(parents=True, exist_ok=True)

        def keep(epoch: int, logs: Any = None) -> None:
            if epoch + 1 in self.size.snapshots:
                model.save(folder / f"{epoch + 1}.keras")

        saver = keras.callbacks.LambdaCallback(on_epoch_end=keep)
        return self._fit_epochs(model, self.size.make_batch, [saver])

    def measured(self, model: Any) -> dict[str, Any]:
        """Metrics by part, and of the test days by item frequency and of new items."""
        from tfmm.evaluation import collect
        from tfmm.evaluation.item_groups import item_groups, new_items

        found: dict[str, Any] = {}
        for part in self.shop.parts:
            columns = collect(model, self._scored[part])
            found[part] = scores(columns)
        items = self.shop.vocabularies.items
        new = new_items(columns, items.embedding_row)
        groups, of_row = item_groups(columns, items.train_count, ~new)
        found["groups"] = [
            {"span": group.span, **scores(columns.select(of_row == number))}
            for number, group in enumerate(groups)
        ]
        found["new"] = scores(columns.select(new))
        return found

    def _fit_epochs(self, model: Any, batch: int, callbacks: list[Any]) -> Any:
        from tfmm.evaluation import EpochMonitor

        monitors = [
            EpochMonitor(self._scored[part], prefix=part) for part in self.shop.parts
        ]
        history = model.fit(
            self._train(batch),
            epochs=self.size.epochs,
            shuffle=False,
            verbose=0,
            callbacks=[*callbacks, *monitors],
        ).history
        return {name: [float(x) for x in values] for name, values in history.items()}

    def _ranking_model(self, interests: Sequence[Any], make: Path | None) -> Any:
        import keras

        from tfmm import RankingModel

        keras.utils.set_random_seed(self.seed)
        given = [self._interest(interest, make) for interest in interests]
        catalog = None if interests == ["din"] else self.catalog
        return RankingModel(self.shop.vocabularies, catalog, interests=given)

    def _interest(self, interest: Any, make: Path | None) -> Any:
        import keras

        from tfmm import MAKE
        from tfmm.ranking import MakeInterest

        if interest != "make":
            return interest
        if make is None:
            return MakeInterest(MAKE(self.catalog), freeze=False)
        return MakeInterest(keras.models.load_model(make))

    def _compile(self, model: Any, rate: Any) -> None:
        from tfmm.ranking import ranking_optimizer

        rates = {"embeddings": self.size.embedding_rate}
        model.compile(optimizer=ranking_optimizer(rate, rates=rates))

    def _cosine(self, peak: float, steps: int) -> Any:
        from tfmm.road.train import cosine

        return cosine(peak, steps)

    def _train(self, batch: int) -> Any:
        return self.shop.requests_of("train", batch, self.seed)

    @cached_property
    def _scored(self) -> dict[str, list[Any]]:
        return {part: list(self._batches(part)) for part in self.shop.parts}

    def _batches(self, part: str) -> Iterator[Any]:
        return self.shop.requests_of(part, 512).as_numpy_iterator()


def scores(columns: Any) -> dict[str, Any]:
    """GAUC, AUC and LogLoss of some impressions, those that are defined there."""
    from tfmm.errors import TfmmError
    from tfmm.evaluation import auc, gauc, log_loss

    y, p = columns.label, columns.probability
    found: dict[str, Any] = {"impressions": len(columns)}
    if not len(y) or y.min() == y.max():
        return found
    found |= {"auc": float(auc(y, p)), "log_loss": float(log_loss(y, p))}
    with suppress(TfmmError):  # No user has both classes.
        found["gauc"] = float(gauc(columns.user_key, y, p).value)
    return found
