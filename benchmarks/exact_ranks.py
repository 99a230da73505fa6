"""Exact ranks among 100,000 candidates against plain numpy.

    python -m benchmarks.exact_ranks [--size smoke|standard]

The peer holds all similarities at once and counts the larger ones, of as many queries
as a table of 1 GB allows; both are given per 1,000 queries, medians of runs in turn.
"""

import argparse
import time
from collections.abc import Callable
from statistics import median

import numpy as np

from tfmm.pretrain import answer_ranks

DIMENSION = 128
SIZES = {"standard": (10_000, 100_000, 5), "smoke": (200, 2_000, 2)}
LARGEST_TABLE = 250_000_000


def unit(count: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(count, DIMENSION))
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return (vectors / lengths).astype(np.float32)


def plain_ranks(
    queries: np.ndarray, items: np.ndarray, answers: np.ndarray
) -> np.ndarray:
    scores = queries @ items.T
    own = scores[np.arange(len(queries)), answers]
    return 1 + (scores > own[:, None]).sum(axis=1)


def seconds(function: Callable[[], object]) -> float:
    begin = time.perf_counter()
    function()
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    count, candidates, runs = SIZES[parser.parse_args().size]
    queries, items = unit(count, 0), unit(candidates, 1)
    answers = np.random.default_rng(2).integers(0, candidates, count)
    few = min(count, LARGEST_TABLE // candidates)
    found = answer_ranks(queries[:few], items, answers[:few], tolerance=0.0)[:, 0]
    plain = plain_ranks(queries[:few], items, answers[:few])
    apart = np.sum(np.abs(found - plain) > 1)
    print(f"ranks further apart than 1, by rounding: {apart} of {few:,}")
    times = [
        (
            seconds(lambda: answer_ranks(queries, items, answers)),
            seconds(lambda: plain_ranks(queries[:few], items, answers[:few])),
        )
        for _ in range(runs)
    ]
    ours, theirs = (median(column) for column in zip(*times, strict=True))
    print(
        f"{count:,} queries, {candidates:,} x {DIMENSION} candidates: {ours:.2f} s; "
        f"per 1,000 queries {1000 * ours / count:.3f} s, plain numpy "
        f"{1000 * theirs / few:.3f} s, ratio {ours / count / (theirs / few):.2f}"
    )


if __name__ == "__main__":
    main()
