"""How far somebody gets on the simulated marketplace who knows what was drawn.

    python -m benchmarks.scl_ceiling

Retrieval by the simulator's own attributes of each photo, on the test pairs of
`benchmarks.scl_ablation`: items that agree in all of them are drawn from at random. And
what the hard negatives share with the item that was bought.
"""

from pathlib import Path

import numpy as np

from benchmarks.scl_data import marketplace, marketplace_config
from benchmarks.scl_trial import Size

SEED = 1


def accuracies(looks: np.ndarray, asked: np.ndarray) -> tuple[float, float]:
    """Expected Acc@1 and Acc@5 of guessing among the candidates that look alike.

    Args:
        looks: int `[I, A]`, what is known of each item.
        asked: int `[Q]`, the item of each test pair.
    """
    candidates, place = np.unique(asked, return_inverse=True)
    _, kind, count = np.unique(
        looks[candidates], axis=0, return_inverse=True, return_counts=True
    )
    alike = count[kind.ravel()[place]]
    return float(np.mean(1 / alike)), float(np.mean(np.minimum(5 / alike, 1)))


def main() -> None:
    from tfmm.datasets.marketplace_world import make_items

    size = Size()
    data = marketplace(size.items, size.searches, SEED, Path("out/benchmarks"))
    items = make_items(marketplace_config(size.items, size.searches, SEED))
    listed = np.flatnonzero(items.listed)
    looks, accent = items.attributes[listed], items.accent[listed]
    asked = data.test[:, 1]
    print(f"{len(asked):,} test pairs, {len(np.unique(asked)):,} candidates")
    unseen = 1 - np.mean(np.isin(asked, data.train[:, 1]))
    print(f"test pairs of items that no training pair shows: {unseen:.3f}")
    for name, known in (
        ("shape, colour, pattern, cut", looks),
        ("and the colour of the details", np.c_[looks, accent]),
    ):
        first, five = accuracies(known, asked)
        print(f"{name:30} Acc@1 {first:.3f}  Acc@5 {five:.3f}")
    query, bought = data.train.T
    negatives = data.negatives[query]
    there = negatives >= 0
    alike = (looks[negatives] == looks[bought][:, None]).sum(axis=2)[there]
    shares = np.bincount(alike, minlength=5) / len(alike)
    told = " ".join(f"{share:.2f}" for share in shares)
    print(f"hard negatives that share 0, 1, .. 4 of the four: {told}")


if __name__ == "__main__":
    main()
