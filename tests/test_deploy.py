"""Documented commands have flags that exist; the image has the pinned versions."""

import importlib
import re
import shlex
from configparser import ConfigParser
from pathlib import Path

import pytest
from apache_beam.options.pipeline_options import PipelineOptions

import beam_jobs

ROOT = Path(beam_jobs.__file__).parents[1]
DOCKERFILE = (ROOT / "deploy/dataflow/Dockerfile").read_text()
CLUSTERS = (ROOT / "docs/clusters.md").read_text()


def _pin(package):
    lines = (ROOT / "constraints/py311.txt").read_text().splitlines()
    return dict(line.split("==") for line in lines)[package]


def _commands():
    """(file, job, arguments) of every `python -m beam_jobs.JOB` in the documents."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = path.read_text().replace("\\\n", " ")
        for job, rest in re.findall(r"python -m beam_jobs\.([a-z_]+)([^`\n]*)", text):
            yield path.name, job, shlex.split(rest, comments=True)


def _parsed(job, arguments):
    """What Beam would get and not know."""
    parser = importlib.import_module(f"beam_jobs.{job}")._arguments()
    if "--help" in arguments:
        return set()
    _, rest = parser.parse_known_args(arguments)
    known, all_of_them = (
        PipelineOptions(rest).get_all_options(
            drop_default=True, retain_unknown_options=unknown
        )
        for unknown in (False, True)
    )
    return all_of_them.keys() - known.keys()


COMMANDS = list(_commands())


@pytest.mark.parametrize(
    "job, arguments",
    [command[1:] for command in COMMANDS],
    ids=[f"{file}-{job}" for file, job, _ in COMMANDS],
)
def test_flags_of_documented_commands_are_known(job, arguments):
    assert _parsed(job, arguments) == set()


def test_an_unknown_flag_is_found():
    schema = ["--schema", "shop.yaml", "--output", "index"]
    assert _parsed("item_index", [*schema, "--runer=X", "--shards", "4"]) == {"runer"}


def test_the_page_has_commands_for_every_runner():
    runners = {
        argument.removeprefix("--runner=")
        for file, _, arguments in COMMANDS
        for argument in arguments
        if file == "clusters.md" and argument.startswith("--runner=")
    }
    expected = {"DataflowRunner", "FlinkRunner", "SparkRunner", "PortableRunner"}
    assert runners == expected


def test_versions_are_the_pinned_ones():
    sdk = f"apache/beam_python3.11_sdk:{_pin('apache-beam')}"
    assert re.findall(r"^FROM (\S+)", DOCKERFILE, re.M) == ["python:3.11-slim-bookworm"]
    assert re.findall(r"^COPY --from=(\S+)", DOCKERFILE, re.M) == [sdk]
    assert set(re.findall(r"constraints/\w+\.txt", DOCKERFILE)) == {
        "constraints/py311.txt"
    }
    assert set(re.findall(r"\b2\.\d\d\.\d\b", CLUSTERS)) == {_pin("apache-beam")}


def test_image_is_made_of_what_is_there():
    for line in re.findall(r"^COPY (?!--from)(.+)", DOCKERFILE, re.M):
        *sources, _ = line.split()
        assert all((ROOT / source).exists() for source in sources), line
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    asked = re.findall(r"EXTRAS=([a-z,]+)", DOCKERFILE + CLUSTERS)
    assert asked == ["dataflow", "dataflow,gpu"]
    for extras in asked:
        assert set(extras.split(",")) <= {*setup["options.extras_require"]}
