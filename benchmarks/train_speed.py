"""Training speed of the ranker with DIN against other packages' DIN.

    python -m benchmarks.train_speed [--size smoke|standard] [--peers FOLDER]
                                     [--peer deepctr ...] [--ids 100000 ...]

Every package trains one epoch on the same impressions, from memory, in a process with
an environment of its own (made below FOLDER at the first run), all with embeddings of
16, attention 32-16, MLP 128-64, ReLU, batches of 1,024 impressions and Adam of one
rate. They take turns; the median over the rounds is shown, the first round left out.
tfmm trains twice: with a request for each impression, which is what the peers get, and
with requests of 8 to 11 candidates as logs have them, whose history it reads once.

Then steps of tfmm against each other: 10 million ids against 1 million, and SimTier
and MAKE against ID only. Ends with 1 if a demanded bound is not met.
"""

import argparse
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.bounds import Bounds
from benchmarks.train_data import Sizes, write_data
from benchmarks.train_steps import (
    BATCH,
    VECTOR,
    batches,
    embedding_step,
    ranker_step,
    step_seconds,
)
from benchmarks.train_workers import PACKAGES, Worker, python_of

FASTER = {"deepctr": 1.5, "fuxictr": 4.0, "deepctr_torch": 4.0}
SLOWER_LARGE, SLOWER_MULTIMODAL = 1.1, 1.5
RATE = 0.01
OWN = ("requests", "rows")


@dataclass(frozen=True)
class Size:
    """How much is measured.

    Args:
        ids: Item ids of the comparison with other packages.
        rounds: Of the comparison, the first one included.
        steps: Of a round.
        test: Impressions held out for AUC.
        large: Two numbers of ids whose step times are compared.
        judged: Whether a bound that is not met is a failure.
    """

    ids: tuple[int, ...] = (100_000, 1_000_000)
    rounds: int = 6
    steps: int = 40
    test: int = 40_960
    large: tuple[int, int] = (1_000_000, 10_000_000)
    judged: bool = True


SIZES = {
    "smoke": Size((2_000,), 2, 2, 2_048, (1_000, 10_000), judged=False),
    "standard": Size(),
}


@dataclass(frozen=True)
class Found:
    """What a worker reached."""

    rates: list[float]
    cpu_rates: list[float]
    auc: float
    mebibytes: float

    @property
    def rate(self) -> float:
        return median(self.rates)

    def line(self) -> str:
        return (
            f"{self.rate:10,.0f} ({min(self.rates):,.0f}-{max(self.rates):,.0f})"
            f"{median(self.cpu_rates):14,.0f}{self.auc:10.4f}{self.mebibytes:10,.0f}"
        )


def train_all(workers: dict[str, Worker], size: Size) -> dict[str, Found]:
    """One epoch of each, a round in turn."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in workers}
    for turn in range(size.rounds):
        for name, worker in workers.items():
            begin = turn * size.steps
            told = worker.ask(f"train {begin} {begin + size.steps}")
            seconds[name].append((told["seconds"], told["cpu_seconds"]))
        print(f"  round {turn + 1} of {size.rounds}", flush=True)
    rows = size.steps * BATCH
    found = {}
    for name, worker in workers.items():
        told = worker.ask("score")
        wall, cpu = zip(*seconds[name][1:], strict=True)
        rates = [rows / x for x in wall], [rows / x for x in cpu]
        found[name] = Found(*rates, told["auc"], told["mebibytes"])
    return found


def compare(ids: int, size: Size, peers: dict[str, str], bounds: Bounds) -> None:
    """tfmm and peers on one data set.

    Args:
        ids: Item ids.
        size: How much.
        peers: The Python of each.
        bounds: What is demanded.
    """
    sizes = Sizes(ids, size.rounds * size.steps * BATCH, size.test)
    with tempfile.TemporaryDirectory() as folder:
        data = str(write_data(Path(folder) / "impressions.npz", sizes))
        given = data, str(RATE), str(BATCH)
        workers = {name: Worker(sys.executable, "tfmm", *given, name) for name in OWN}
        for peer, python in peers.items():
            workers[peer] = Worker(python, peer, *given)
        for worker in workers.values():
            worker.answer()
        found = train_all(workers, size)
        for worker in workers.values():
            worker.close()
    report(ids, sizes, found, bounds)


def report(ids: int, sizes: Sizes, found: dict[str, Found], bounds: Bounds) -> None:
    print(
        f"\nDIN, {ids:,} ids, one epoch of {sizes.rows:,} impressions, history 50; "
        "median (min-max) of rounds\n"
        f"  {'':16}{'impressions/s':>26}{'per CPU s':>14}{'AUC':>10}{'MiB':>10}"
    )
    for name, result in found.items():
        print(f"  {'tfmm ' * (name in OWN) + name:16}{result.line()}")
    for own in OWN:
        for peer in (name for name in found if name not in OWN):
            ratio = found[own].rate / found[peer].rate
            verdict = bounds.check_least(ratio, FASTER[peer])
            gain = found[own].auc - found[peer].auc
            better = bounds.check_least(gain, 0.0)
            print(
                f"  tfmm {own} / {peer}: {ratio:.2f}x, {verdict}; "
                f"AUC {gain:+.4f}, {better}",
                flush=True,
            )


def large_tables(size: Size, bounds: Bounds) -> None:
    """Steps on many ids against steps on fewer."""
    fewer, more = size.large
    print(f"\nStep on {more:,} ids against {fewer:,}; requests of 8 to 11 candidates")
    for name, make in (("whole step", ranker_step), ("embedding", embedding_step)):
        steps = {
            str(ids): make(ids, batches(ids, size.steps, shown=True))
            for ids in size.large
        }
        found = step_seconds(steps, size.rounds, size.steps)
        ratio = found[str(more)] / found[str(fewer)]
        whole = name == "whole step"
        verdict = bounds.check(ratio, SLOWER_LARGE) if whole else "not judged"
        figures = f"{1e3 * found[str(fewer)]:.1f} ms, {1e3 * found[str(more)]:.1f} ms"
        print(f"  {name:12}{figures}, ratio {ratio:.2f}, {verdict}", flush=True)


def multimodal(size: Size, bounds: Bounds) -> None:
    """What SimTier and MAKE add to a step."""
    ids = size.ids[0]
    print(f"\nStep with SimTier and MAKE against ID only, vectors of {VECTOR}")
    for shown in (True, False):
        given = batches(ids, size.steps, shown)
        steps = {
            "ids": ranker_step(ids, given),
            "all": ranker_step(ids, given, multimodal=True),
        }
        found = step_seconds(steps, size.rounds, size.steps)
        ratio = found["all"] / found["ids"]
        what = "8 to 11 candidates" if shown else "1 candidate"
        verdict = bounds.check(ratio, SLOWER_MULTIMODAL)
        figures = f"{1e3 * found['ids']:.1f} ms, {1e3 * found['all']:.1f} ms"
        print(f"  {what:20}{figures}, ratio {ratio:.2f}, {verdict}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    parser.add_argument("--peers", type=Path, default=Path("out/peers"))
    parser.add_argument("--peer", nargs="*", default=["deepctr", "fuxictr"])
    parser.add_argument("--ids", nargs="*", type=int)
    options = parser.parse_args()
    size = SIZES[options.size]
    unknown = set(options.peer) - set(PACKAGES)
    if unknown:
        parser.error(f"peers are {', '.join(PACKAGES)}; received {sorted(unknown)}")
    bounds = Bounds(size.judged)
    peers = {peer: python_of(peer, options.peers) for peer in options.peer}
    for ids in size.ids if options.ids is None else options.ids:
        compare(ids, size, peers, bounds)
    large_tables(size, bounds)
    multimodal(size, bounds)
    sys.exit(bounds.exit_code)


if __name__ == "__main__":
    main()
