"""What a memory bank and a large batch take of memory.

    python -m benchmarks.scl_memory [--size smoke|standard]

Every figure is the peak of a process of its own while it does the work; what its set-up
took is not counted. Ends with 1 if a demanded bound is exceeded.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Callable

from benchmarks.bounds import Bounds
from benchmarks.peak_memory import MEBIBYTE, Peak
from benchmarks.scl_cases import SIZES, Size
from benchmarks.scl_memory_cases import CASES

Measure = Callable[[str], list[Peak]]


def measure_of(size_name: str) -> Measure:
    """Runs a case, by name, in a process of its own."""

    def measure(case: str) -> list[Peak]:
        command = [sys.executable, "-m", "benchmarks.scl_memory"]
        command += ["--size", size_name, "--case", case]
        done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
        return [Peak(*pair) for pair in json.loads(done.stdout.splitlines()[-1])]

    return measure


def bank_memory(size: Size, measure: Measure, bounds: Bounds) -> None:
    """A step with a bank against the same without; the bound is on the difference."""
    keys = size.bank * size.dimension * 4 / MEBIBYTE
    table = size.micro_batch * size.bank * 4 / MEBIBYTE
    (without,), (with_bank,) = measure("no_bank"), measure("bank")
    added = with_bank.highest - without.highest
    print(
        f"Peak of a training step, micro tower, {size.image_size} px, "
        f"B = {size.micro_batch}, bank K x d = {size.bank:,} x {size.dimension}\n"
        f"  without a bank {without.highest:6.0f} MiB\n"
        f"  with the bank  {with_bank.highest:6.0f} MiB: {added:.0f} MiB more, "
        f"2 K d 4 + 3 B K 4: {bounds.check(added, 2 * keys + 3 * table, ' MiB')}"
    )
    variables, reading, tables = (peak.added for peak in measure("copies"))
    print(
        "  The copies, from the bank's loss and update alone (within a step, the tables"
        "\n  use room that the towers need again afterwards):\n"
        f"    variables    {variables:4.0f} MiB: keys [K, d] {keys:.0f}, "
        f"groups and steps [K] {2 * keys / size.dimension:.0f}\n"
        f"    reading them {reading:4.0f} MiB: a copy of keys and groups, "
        f"{keys + keys / size.dimension:.0f}, which TensorFlow makes\n"
        "                           of variables that rows are scattered into\n"
        f"    tables       {tables:4.0f} MiB: float32 [B, K] {table:.0f}, and up to "
        f"three masks bool [B, K] of {table / 4:.0f}\n"
        "  Besides, a step with any bank has a momentum copy of the tower",
        flush=True,
    )


def loss_memory(size: Size, measure: Measure) -> None:
    table = size.loss_batch * (size.loss_batch + size.loss_bank) * 4 / MEBIBYTE
    print(
        f"\nLoss and gradients alone, {size.loss_batch:,} pairs, bank "
        f"{size.loss_bank:,} x {size.dimension}: MiB added\n"
        f"(a table of all similarities has {table:.0f})"
    )
    compare(
        measure,
        {
            "loss_softmax": "plain TensorFlow, fused softmax",
            "loss_logsumexp": "plain TensorFlow, logsumexp",
            "loss_whole": "info_nce + bank_nce",
            "loss_chunked": f"the same, chunk_size={size.chunk}",
        },
    )


def step_memory(size: Size, measure: Measure) -> None:
    print(
        f"\nTraining step, micro tower, {size.image_size} px, {size.whole_batch:,} "
        f"pairs, bank {size.bank:,} x {size.dimension}: MiB added to 16 pairs"
    )
    compare(
        measure,
        {"step_whole": "whole", "step_chunked": f"chunk_size={size.chunk}"},
    )
    print(f"The same of {size.loss_batch:,} pairs")
    for case, chunk in (
        ("large_step", size.chunk),
        ("large_step_small_chunks", size.small_chunk),
    ):
        (peak,) = measure(case)
        print(
            f"  {f'chunk_size={chunk}':32} {peak.added:6.0f}   the process "
            f"{peak.highest:.0f} MiB",
            flush=True,
        )


def compare(measure: Measure, cases: dict[str, str]) -> None:
    """What each case adds, and its share of the first."""
    first = None
    for case, label in cases.items():
        (peak,) = measure(case)
        first = first or peak.added
        print(
            f"  {label:32} {peak.added:6.0f}   {peak.added / first:.3f} of the first"
            f"   the process {peak.highest:.0f} MiB",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", choices=SIZES, default="standard")
    parser.add_argument("--case", choices=CASES, help=argparse.SUPPRESS)
    options = parser.parse_args()
    size = SIZES[options.size]
    if options.case:
        print(json.dumps(CASES[options.case](size)))
        return
    measure, bounds = measure_of(options.size), Bounds(size.judged)
    bank_memory(size, measure, bounds)
    loss_memory(size, measure)
    step_memory(size, measure)
    sys.exit(bounds.exit_code)


if __name__ == "__main__":
    main()
