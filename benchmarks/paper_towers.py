"""Image towers of different quality, and the vectors that each gives all items."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.paper_data import Shop

BEST = "scl"
# No tower: what the simulator knows of its items.
TRUTH = "attributes"


@dataclass(frozen=True)
class Tower:
    """How a tower is trained.

    Args:
        method: As of `benchmarks.scl_trial`.
        share: Of the best tower's steps.
    """

    method: str
    share: float = 1.0


# From worst to best. MovieLens has no clicked-not-bought items, hence no triplets.
TOWERS: Mapping[str, dict[str, Tower]] = {
    "marketplace": {
        "random": Tower("random"),
        "in_batch_short": Tower("in_batch", 0.1),
        "in_batch_half": Tower("in_batch", 0.4),
        "in_batch": Tower("in_batch"),
        "moco": Tower("moco"),
        BEST: Tower("triplet"),
    },
    "movielens": {
        "random": Tower("random"),
        "clip": Tower("clip"),
        "in_batch_short": Tower("in_batch", 0.1),
        "in_batch": Tower("in_batch"),
        BEST: Tower("moco"),
    },
}


def trained_tower(shop: Shop, name: str, steps: int, path: Path) -> dict[str, Any]:
    """Acc@1 and Acc@5 of a tower (eq. 6); its vectors of all items are saved.

    Args:
        shop: Whose searches it learns from.
        name: Of `TOWERS`.
        steps: Of the best tower.
        path: Where to write float32 `[items, d]`, zeros for items without a picture.
    """
    from benchmarks import scl_trial

    tower = TOWERS[shop.name][name]
    taken = max(1, round(tower.share * steps))
    trial = scl_trial.Trial(shop.pairs, scl_trial.Size(steps=taken), 0)
    found = trial.run(tower.method)
    pictures = shop.pairs.pictures
    vectors = trial.image.tower.predict(pictures, batch_size=512, verbose=0)
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, np.where(shop.pairs.has_picture[:, None], vectors, 0))
    return {**found, "taken": 0 if tower.method == "random" else taken}


def true_vectors(shop: Shop) -> np.ndarray:
    """What a perfect tower would see: the attributes that shoppers look at.

    Their cosine is the simulator's own likeness of two items, shape 0.8, colour 1,
    pattern 1 and style 0.5, without its extras for neighbouring colours and for colour
    and pattern together.

    Args:
        shop: A marketplace.

    Returns:
        float32 `[items, d]`, also of items without a picture.
    """
    from tfmm.datasets.marketplace_world import make_items

    made = make_items(shop.config)
    place = {name: number for number, name in enumerate(made.ids.tolist())}
    attributes = made.attributes[[place[item] for item in shop.item_ids]]
    parts = [
        np.sqrt(weight) * np.eye(int(values.max()) + 1)[values]
        for weight, values in zip((0.8, 1.0, 1.0, 0.5), attributes.T, strict=True)
    ]
    return np.concatenate(parts, axis=1).astype(np.float32)
