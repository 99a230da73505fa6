"""The life of a job: its plan, its claim on the output, its pipeline, its commit."""

import contextlib
import re
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions, StandardOptions

from beam_jobs import files, progress
from beam_jobs.control import DEFAULT, Control
from beam_jobs.counters import committed, summed
from beam_jobs.disk import teaching
from beam_jobs.inputs import Inputs
from beam_jobs.output import Manifests, Output, work_folder, writing
from beam_jobs.plan import MIB, ROWS_PER_SHARD, Plan, shards_for
from beam_jobs.read_table import ROWS_READ
from beam_jobs.stretch import EVERYTHING, Stretch
from beam_jobs.work import LETTERS, SHARDS, Work, shard_key, whole_units
from tfmm.errors import TfmmError
from tfmm.records.manifest import NAME
from tfmm.schema import Schema

DEFAULT_RUNNER = "FnApiRunner"
_TAUGHT = re.compile(r"TfmmError: (.+?)(?: \[while running|\n|$)")


@dataclass(frozen=True)
class Job:
    """One run of a job.

    Args:
        name: The job's name.
        output: Folder of its output.
        schema: The schema whose tables it reads; `None` where it reads none.
        tables: Names of these tables.
        folders: Finished outputs that it reads.
        stretch: The days of the tables that it reads.
        arguments: What else its output depends on.
        control: How it runs.
        pipeline_args: Flags for Beam.
        row_bytes: Memory per row on one machine.
        base_bytes: Memory without any row.
        rows_per_shard: Most rows of a shard, which a worker holds in memory.
    """

    name: str
    output: str
    schema: Schema | None = None
    tables: Sequence[str] = ()
    folders: Sequence[str] = ()
    stretch: Stretch = EVERYTHING
    arguments: Mapping[str, Any] = field(default_factory=dict)
    control: Control = DEFAULT
    pipeline_args: Sequence[str] = ()
    row_bytes: int = 0
    base_bytes: int = 300 * MIB
    rows_per_shard: int = ROWS_PER_SHARD

    @cached_property
    def inputs(self) -> Inputs:
        """The files that it reads, as they are when it begins."""
        return Inputs.of(self.schema, self.tables, self.folders, self.stretch)

    @cached_property
    def shards(self) -> int:
        """Number of hash shards."""
        rows = sum(self.inputs.rows.values())
        return self.control.shards or shards_for(rows, self.rows_per_shard)

    @property
    def digest(self) -> str:
        """Names everything that the output depends on."""
        arguments = {
            **self.arguments,
            "shards": self.shards,
            "stretch": repr(self.stretch),
        }
        return self.inputs.digest(self.name, arguments)

    def plan(self, done: int = 0) -> Plan:
        """What it will read, write and need."""
        return Plan(
            self.name,
            self._place,
            self.shards,
            self.inputs.rows,
            self.inputs.bytes(),
            self.row_bytes,
            self.base_bytes,
            done,
        )

    def said(self) -> bool:
        """Whether this is a dry run, whose plan now has been said."""
        if self.control.dry_run:
            self._check_apart()
            done = whole_units(work_folder(self._place, self.digest))
            keys = map(shard_key, range(self.shards))
            print(self.plan(sum(key in done for key in keys)).text())
        return self.control.dry_run

    @contextmanager
    def running(self) -> Iterator["Running"]:
        """Claims the output and gives what the pipeline needs."""
        if self._runs_here and (advice := self.plan().advice()):
            print(f"Warning: {advice}", file=sys.stderr)
        self._check_apart()
        with writing(self._place, self.digest, self.shards) as output:
            try:
                yield Running(self, output)
            except Exception:
                # Whatever else is wrong then follows from it.
                self.inputs.check_unchanged()
                raise

    def _check_apart(self) -> None:
        """Refuses an output whose place has inputs that would go with it.

        What stands in the output's own place may be an input on a local disk, where
        it is read until the new output takes its place at once.
        """
        own = files.join(self._place, NAME) if files.is_local(self._place) else ""
        for path in (*self.inputs.read, *self.inputs.made):
            if path.startswith(f"{self._place}/") and path != own:
                raise TfmmError(
                    f"`{self._place}` would be replaced, and the job reads `{path}` "
                    "from it. Expected: an output apart from all inputs. Received: one "
                    "that holds some. Choose another folder for the output."
                )

    @cached_property
    def options(self) -> PipelineOptions:
        """Pipeline options: our default runner, importable code only.

        `DirectRunner` would first try to download Prism; `FnApiRunner` is what it
        falls back to.
        """
        args = list(self.pipeline_args)
        if not any(arg.startswith("--runner") for arg in args):
            args.append(f"--runner={DEFAULT_RUNNER}")
        return PipelineOptions([*args, "--no_save_main_session"])

    @cached_property
    def _place(self) -> str:
        return files.checked(self.output)

    @property
    def _runs_here(self) -> bool:
        return self.options.view_as(StandardOptions).runner == DEFAULT_RUNNER


class Running:
    """A job under way; `Job.running` makes it.

    Attributes:
        work: What travels to the workers.
        pipeline: The pipeline to build on.
    """

    def __init__(self, job: Job, output: Output) -> None:
        self._job, self._output = job, output
        self.work: Work = output.work
        self.pipeline = beam.Pipeline(options=job.options)

    def finish(self) -> dict[str, int]:
        """Runs the pipeline to its end; returns all counters by name.

        Raises:
            TfmmError: If a step raised one (runners wrap it in tracebacks of their
                own), an input changed meanwhile, or too many records are bad.
        """
        self._job.inputs.check_known(self._job.schema)
        with self._shown():
            try:
                result = self.pipeline.run()
                result.wait_until_finish()
            except Exception as error:
                if "KeyboardInterrupt" in str(error):
                    raise KeyboardInterrupt from None
                if taught := _TAUGHT.search(f"{type(error).__qualname__}: {error}"):
                    raise TfmmError(taught.group(1)) from error
                raise
        units = whole_units(self.work.folder).values()
        found = summed([committed(result), *(unit["counts"] for unit in units)])
        self._check_bad(found)
        self._job.inputs.check_unchanged()
        return found

    def commit(self, manifests: Manifests) -> dict[str, Any]:
        """Puts the finished shards in place; returns the output's manifest.

        Args:
            manifests: Per part, with `""` for the whole: kind, counts, facts.
        """
        self._output.commit(manifests)
        return self.manifest()

    @contextmanager
    def saving(self) -> Iterator[Path]:
        """Yields a local folder path to save a small output to; puts it in place."""
        near = Path(self.work.folder) if files.is_local(self.work.folder) else None
        with teaching(self._output.folder):
            if near:
                near.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=near, prefix="saved-") as folder:
                yield Path(folder) / "out"
                self._output.commit_saved(Path(folder) / "out")

    def manifest(self) -> dict[str, Any]:
        """The manifest of what was put in place."""
        return files.manifest(self._output.folder)

    def _check_bad(self, found: Mapping[str, int]) -> None:
        most = self._job.control.max_bad_fraction
        for table in self._job.tables:
            bad, read = found.get(f"{table}:bad", 0), found.get(f"{table}:read", 0)
            if bad > most * read:
                raise TfmmError(
                    f"Too many bad records in `{table}`, so nothing was put in place. "
                    f"Expected: at most {most:.3g} of {read:,} rows "
                    f"(max_bad_fraction). Received: {bad:,}. Places and reasons "
                    f"are in {self.work.path(LETTERS)}; mend them, or allow more."
                )

    def _shown(self) -> contextlib.AbstractContextManager[None]:
        if not (self._job.control.progress and files.is_local(self.work.folder)):
            return contextlib.nullcontext()
        totals = {
            ROWS_READ: sum(self._job.inputs.rows.values()),
            SHARDS: len(self.work.left()),
        }
        return progress.shown(self._job.name, totals, self.work.progress)
