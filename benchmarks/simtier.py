"""What SimTier's counts cost: time and largest tensor against the one-hot form.

    python -m benchmarks.simtier [--size smoke|standard]

The peer sums a one-hot `[B, N, L, tiers + 1]` tensor over the history, as a literal
reading of Algorithm 1 does. Both run as TensorFlow graphs in one process, taking turns;
the ratio is that of medians, memory the largest tensor of each graph. Ends with 1 if
the counts differ or the bound is exceeded.
"""

import argparse
import sys
import time
from collections.abc import Callable
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from benchmarks.bounds import Bounds
from benchmarks.peak_memory import MEBIBYTE

TIERS = 20
AT_MOST = 0.8


class Case(NamedTuple):
    """Requests, candidates of each and history length."""

    requests: int
    candidates: int
    length: int


class Counter(NamedTuple):
    """A form that is ready to run, and its largest tensor in MiB."""

    run: Callable[[], np.ndarray]
    largest: float


class Size(NamedTuple):
    cases: tuple[Case, ...]
    runs: int
    judged: bool


SIZES = {
    "smoke": Size((Case(4, 2, 50),), 3, judged=False),
    "standard": Size((Case(256, 8, 50), Case(91, 11, 1000)), 31, judged=True),
}


def one_hot_counts(similarity: Any, mask: Any) -> Any:
    """The peer: one-hot tiers, what is masked in a tier of its own, then a sum."""
    from keras import ops

    from tfmm.layers import tier_of

    tier = ops.where(mask, tier_of(similarity, TIERS), TIERS)
    slots = ops.one_hot(tier, TIERS + 1, dtype="float32")
    return ops.sum(slots, axis=-2)[..., :TIERS]


def pairs(case: Case) -> tuple[np.ndarray, np.ndarray]:
    """Cosines around 0 and a mask with a tenth of the pairs missing."""
    rng = np.random.default_rng(0)
    similarity = np.clip(rng.normal(0, 0.3, case), -1, 1).astype("float32")
    return similarity, rng.random(case) < 0.9


def counters(case: Case) -> dict[str, Counter]:
    """Both forms on the same pairs, traced and run once."""
    import tensorflow as tf

    from tfmm.layers import sim_tier

    tensors = [tf.constant(part) for part in pairs(case)]

    def counter(form: Callable[..., Any]) -> Counter:
        graph = tf.function(form).get_concrete_function(*tensors)
        graph(*tensors)
        made = [t for op in graph.graph.get_operations() for t in op.outputs]
        largest = max((t.shape.num_elements() or 0) * t.dtype.size for t in made)
        return Counter(lambda: graph(*tensors).numpy(), largest / MEBIBYTE)

    return {
        "one_hot": counter(one_hot_counts),
        "sim_tier": counter(lambda s, m: sim_tier(s, m, TIERS)),
    }


def milliseconds(forms: dict[str, Counter], runs: int) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {name: [] for name in forms}
    for _ in range(runs):
        for name, form in forms.items():
            begin = time.perf_counter()
            form.run()
            found[name].append(1000 * (time.perf_counter() - begin))
    return found


def measure(size: Size, bounds: Bounds) -> bool:
    """Prints the table; whether all counts are the peer's."""
    same = True
    print(f"SimTier, {TIERS} tiers; median (min-max) of {size.runs}, interleaved")
    for case in size.cases:
        forms = counters(case)
        equal = np.array_equal(*(form.run() for form in forms.values()))
        same = same and equal
        found = milliseconds(forms, size.runs)
        print(f"B={case.requests} N={case.candidates} L={case.length}")
        for name, form in forms.items():
            times = found[name]
            print(
                f"  {name:10} {median(times):7.2f} ms "
                f"({min(times):.2f}-{max(times):.2f})  "
                f"largest tensor {form.largest:.1f} MiB"
            )
        ratio = median(found["sim_tier"]) / median(found["one_hot"])
        verdict = bounds.check(ratio, AT_MOST)
        print(f"  ratio {ratio:.2f}, {verdict}; counts equal: {equal}", flush=True)
    return same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    size = SIZES[parser.parse_args().size]
    bounds = Bounds(size.judged)
    same = measure(size, bounds)
    sys.exit(bounds.exit_code if same else 1)


if __name__ == "__main__":
    main()
