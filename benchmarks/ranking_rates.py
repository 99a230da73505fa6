"""Learning rates of a ranker on the validation day: how far they carry a comparison.

    make demo
    python -m benchmarks.ranking_rates [--out out/demo]

Trains ID-only and ID-only with SimTier for one epoch at several peak rates on what the
demo left, and prints their validation GAUC and the gain. A comparison at a rate that
leaves the baseline half trained shows a gain that the vectors did not make.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import keras

import tfmm
from tfmm.evaluation import collect, gauc
from tfmm.road.train import cosine

RATES = (0.002, 0.005, 0.01, 0.02)
BATCH, SEED = 64, 7
MODELS = {"ID-only": ["din"], "SimTier": ["din", "simtier"]}


def measure(out: Path, rates: Sequence[float]) -> dict[str, list[float]]:
    """Validation GAUC of each model at each rate.

    Args:
        out: The out folder of a run.
        rates: Peak rates.
    """
    vocabularies = tfmm.Vocabularies.open(out / "vocabularies")
    catalog = tfmm.Catalog.open(out / "catalog")
    parts = [out / "timelines" / name for name in ("train", "validation")]
    train = tfmm.data.requests(parts[0], vocabularies, BATCH, shuffle=True, seed=SEED)
    validation = tfmm.data.requests(parts[1], vocabularies, 4 * BATCH)

    def trained(interests: list[str], rate: float) -> Any:
        keras.utils.set_random_seed(SEED)
        known = None if interests == MODELS["ID-only"] else catalog
        model = tfmm.RankingModel(vocabularies, known, interests)
        peak = cosine(rate, len(train))
        model.compile(tfmm.ranking.ranking_optimizer(peak))
        model.fit(train, epochs=1, verbose=0)
        return model

    def value(interests: list[str], rate: float) -> float:
        rows = collect(trained(interests, rate), validation)
        return gauc(rows.user_key, rows.label, rows.probability).value

    return {
        name: [value(interests, rate) for rate in rates]
        for name, interests in MODELS.items()
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    parser.add_argument("--rates", type=float, nargs="+", default=RATES)
    options = parser.parse_args(arguments)
    found = measure(options.out, options.rates)
    print(f"{'peak rate':<16}" + "".join(f"{rate:>9g}" for rate in options.rates))
    for name, values in found.items():
        print(f"{name:<16}" + "".join(f"{value:>9.4f}" for value in values))
    gains = [100 * (b - a) / a for a, b in zip(*found.values(), strict=True)]
    print(f"{'gain, %':<16}" + "".join(f"{gain:>9.1f}" for gain in gains))


if __name__ == "__main__":
    main()
