"""`tfmm try`: do these vectors help this log? ID-only against SimTier."""

import dataclasses
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from tfmm.catalog import Catalog
from tfmm.errors import TfmmError
from tfmm.evaluation.gain import GainTable, gain_table
from tfmm.onboarding.trial_data import has_key, prepare, working_folder
from tfmm.onboarding.trial_schema import trial_schema
from tfmm.onboarding.verdict import Coverage, next_steps, verdict
from tfmm.records.index import ItemIndex
from tfmm.records.vocabularies import Vocabularies

_MODEL_TITLES = {"id_only": "ID-only, one epoch", "simtier": "+ SimTier, one epoch"}


@dataclasses.dataclass(frozen=True)
class Trial:
    """What a trial found.

    Args:
        table: The gain table, rows `id_only` and `simtier`.
        coverage: How far the vectors reach.
        seconds: Wall time.
    """

    table: GainTable
    coverage: Coverage
    seconds: float


def try_vectors(
    vectors: str | Path,
    impressions: str | Path | None = None,
    *,
    schema: str | Path | None = None,
    user: str | None = None,
    item: str | None = None,
    time_column: str | None = None,
    label: str | None = None,
    ids: str | Path | None = None,
    out: str | Path | None = None,
    seed: int = 7,
    console: Any = None,
) -> Trial:
    """Trains ID-only and + SimTier on the same impressions and prints the gain.

    Needs no items table, media, searches or towers. Roles are guessed from the
    impressions alone unless named. User ids are hashed at once, with the configured key
    or one that is thrown away.

    Args:
        vectors: Parquet with an id column and a column of lists, or `.npy` `[N, d]`.
        impressions: One row for every shown item. May be absent beside `schema`.
        schema: A schema file, in place of guessing.
        user, item, time_column, label: Columns of these roles, in place of guessing.
        ids: Of a `.npy` matrix, the item ids: `.npy`, or text with one id a line. Of
            Parquet, the name of the id column.
        out: Folder for the jobs' outputs and `gain.json`; a second trial there starts
            at the training. A temporary folder when absent.
        seed: Of weights and shuffles.
        console: A `rich` console; standard output when absent.

    Raises:
        TfmmError: If a file or role is missing, ids do not match, or the split leaves
            nothing to train or test.
    """
    from rich.console import Console

    console = console or Console()
    start = time.monotonic()
    given = {"user": user, "item": item, "time": time_column, "label": label}
    matrix, names = _vectors(vectors, ids)
    shop, said = trial_schema(impressions, schema, given)
    console.print(said)
    if not has_key():
        console.print("No user key is configured: ids are hashed with one made up now.")
    with working_folder(out) as folder, _progress(console) as progress:
        jobs = prepare(shop, folder, lambda what: progress(what, 0, 0))
        index = ItemIndex.open(jobs["index"])
        vocabularies = Vocabularies.open(jobs["vocabularies"], index)
        catalog = Catalog.from_vectors(
            names, matrix, name=Path(vectors).stem, version="trial", index=index
        )
        progress("TensorFlow", 0, 0)
        from tfmm.onboarding import trial_training

        timelines = jobs["timelines"]
        scored = trial_training.train_and_score(
            timelines, vocabularies, catalog, seed, progress
        )
        coverage = trial_training.coverage(timelines, vocabularies, catalog)
        table = gain_table(scored, embedding_row=vocabularies.items.embedding_row)
        if out is not None:
            table.save(folder / "gain.json")
    trial = Trial(table, coverage, time.monotonic() - start)
    _print(trial, console, out)
    return trial


def _print(trial: Trial, console: Any, out: str | Path | None) -> None:
    console.print()
    console.print(trial.table.render())
    console.print()
    console.print(verdict(trial.table, trial.coverage))
    console.print("\nNext:")
    for step in next_steps(trial.table, trial.coverage):
        console.print(f"* {step}")
    where = f"The table is in {Path(out) / 'gain.json'}." if out else "--out keeps it."
    console.print(f"\nTook {trial.seconds:.0f} s. {where}")


def _vectors(vectors: str | Path, ids: str | Path | None) -> tuple[Path, Any]:
    """The matrix's path, and its ids as `Catalog.from_vectors` takes them."""
    path = Path(vectors)
    if not path.is_file():
        raise TfmmError(f"There is no file `{path}` of vectors. Correct the path.")
    if path.suffix == ".parquet" or ids is None:
        return path, None if ids is None else str(ids)
    if not Path(ids).is_file():
        raise TfmmError(f"There is no file `{ids}` of ids. Correct the path.")
    if Path(ids).suffix == ".npy":
        return path, Path(ids)
    lines = Path(ids).read_text(encoding="utf-8").splitlines()
    return path, np.array([line.strip() for line in lines if line.strip()], str)


@contextmanager
def _progress(console: Any) -> Iterator[Any]:
    """A bar for what runs; steps of 0 show a moving one."""
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    shown = TextColumn("{task.description}")
    tasks: dict[str, Any] = {}
    with Progress(shown, BarColumn(), TimeElapsedColumn(), console=console) as bars:

        def report(what: str, done: int, total: int) -> None:
            if what not in tasks:
                for task in tasks.values():
                    if bars.tasks[task].total is None:
                        bars.update(task, total=1, completed=1)
                title = _MODEL_TITLES.get(what, what)
                tasks[what] = bars.add_task(title, total=total or None)
            bars.update(tasks[what], completed=done, total=total or None)

        yield report
        for task in tasks.values():
            if bars.tasks[task].total is None:
                bars.update(task, total=1, completed=1)
