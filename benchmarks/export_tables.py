"""Embedding tables as float32, float16 and int8: bytes of the export, price in GAUC.

    make demo
    python -m benchmarks.export_tables [--out out/demo] [--variant simtier_make]

Exports the ranker that a run trained three times, loads each as a server does, and
scores the run's test requests with the tables so rounded. The catalog's vectors are
int8 in every row.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
from rich.console import Console
from rich.table import Table

import tfmm
from tfmm.export import export_ranker
from tfmm.export.c_api import LoadedAsServer
from tfmm.export.manifest import read_facts
from tfmm.layers.rounded_tables import STORAGES
from tfmm.records.index import ItemIndex
from tfmm.road.tables import Quality, qualities

SAMPLE, BATCH = 32, 256
WIDTH = 120


class Measured(NamedTuple):
    """One storage of the tables.

    Args:
        variables: Bytes of the variables' files.
        memory: Bytes that loading takes; None where the system does not say.
        quality: What it is worth on the test requests.
    """

    variables: int
    memory: int | None
    quality: Quality


def measure(out: Path, variant: str) -> dict[str, Measured]:
    """Exports a run's ranker with each storage and scores its test requests."""
    ranker = keras.models.load_model(
        out / "rankers" / variant / "ranker.keras", compile=False
    )
    vocabularies = tfmm.Vocabularies.open(out / "vocabularies")
    requests = tfmm.data.requests(out / "timelines" / "test", vocabularies, BATCH)
    found = qualities(ranker, requests, STORAGES)
    sample = next(
        iter(tfmm.data.requests(out / "timelines" / "test", vocabularies, SAMPLE))
    )
    arguments = (
        ItemIndex.open(out / "index"),
        vocabularies,
        {name: np.asarray(value) for name, value in sample.items()},
    )
    measured = {}
    with tempfile.TemporaryDirectory() as base:
        for storage, quality in found.items():
            folder = export_ranker(ranker, base, *arguments, tables=storage)
            measured[storage] = Measured(*_sizes(folder), quality)
    return measured


def _sizes(folder: Path) -> tuple[int, int | None]:
    with LoadedAsServer(folder) as model:
        known = model.peak_bytes is not None and model.before_bytes is not None
        memory = model.peak_bytes - model.before_bytes if known else None
    return read_facts(folder)["bytes"]["variables"], memory


def shown(measured: dict[str, Measured]) -> Table:
    """The table that is printed."""
    first = measured[STORAGES[0]].quality
    table = Table("tables", "variables, bytes", "loading, MiB", "GAUC", "change")
    for heading in ("AUC", "LogLoss", "largest difference"):
        table.add_column(heading)
    for name, found in measured.items():
        quality: Any = found.quality
        memory = "" if found.memory is None else f"{found.memory / 2**20:.0f}"
        table.add_row(
            name,
            f"{found.variables:,}",
            memory,
            f"{quality['gauc']:.5f}",
            f"{quality['gauc'] - first['gauc']:+.5f}",
            f"{quality['auc']:.5f}",
            f"{quality['log_loss']:.5f}",
            f"{quality['largest_difference']:.1e}",
        )
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("out/demo"))
    parser.add_argument("--variant", default="simtier_make")
    arguments = parser.parse_args()
    Console(width=WIDTH).print(shown(measure(arguments.out, arguments.variant)))


if __name__ == "__main__":
    main()
