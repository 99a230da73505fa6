import importlib
import re
import shlex
from pathlib import Path

import pytest
import shop

from beam_jobs import behaviours, command, item_index
from beam_jobs.job import Control
from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest

JOBS = (
    *("item_index", "item_media", "search_pairs"),
    *("vocabularies", "behaviours", "embed_items"),
)


@pytest.mark.parametrize("job", JOBS)
@pytest.mark.parametrize("width", [80, 120])
def test_help_can_be_read(job, width, monkeypatch):
    monkeypatch.setenv("COLUMNS", str(width))
    arguments = importlib.import_module(f"beam_jobs.{job}")._arguments()
    text = arguments.format_help()
    lines = text.splitlines()
    assert lines[0] == f"usage: python -m beam_jobs.{job} FLAGS"
    assert max(map(len, lines)) <= width
    for word in ("\nreads   ", "\nwrites  ", "\nexample:\n", "docs/beam_jobs.md"):
        assert word in text
    assert "None" not in text and "default: 0.25" in text
    # What the example types is what the job takes.
    example = text.split("example:\n")[1].split("\n\n")[0].replace("\\\n", " ")
    typed = shlex.split(example)
    assert typed[:3] == ["python", "-m", f"beam_jobs.{job}"]
    known, rest = arguments.parse_known_args(typed[3:])
    assert rest == [] and known.output.startswith("out/")


def test_what_the_page_types_is_what_the_jobs_take():
    page = (Path(__file__).parents[2] / "docs/beam_jobs.md").read_text()
    typed = re.findall(r"^python -m beam_jobs\.(\w+) (.*)$", page, re.MULTILINE)
    assert {job for job, _ in typed} == set(JOBS)
    for job, flags in typed:
        arguments = importlib.import_module(f"beam_jobs.{job}")._arguments()
        assert arguments.parse_known_args(shlex.split(flags))[1] == []


def test_a_misspelt_flag_is_not_passed_over(capsys):
    argv = ["--schema", "x", "--output", "y", "--max_bad_fracton=1"]
    with pytest.raises(SystemExit) as ended:
        command.main(item_index._arguments(), item_index.run, str, argv)
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "no flag --max_bad_fracton; did you mean --max_bad_fraction?" in said


def test_other_flags_go_to_beam(capsys):
    given = {}

    def run(**arguments):
        given.update(arguments)
        return {"rows": 3}

    argv = ["--schema", "x", "--output", "y", "--runner=FlinkRunner", "--parallelism=2"]
    typed = [*argv, "--max_bad_fraction", "0.5", "--shards", "4"]
    command.main(item_index._arguments(), run, lambda x: f"{x['rows']} rows.", typed)
    assert given == {
        "schema": "x",
        "output": "y",
        "previous": None,
        "pipeline_args": ["--runner=FlinkRunner", "--parallelism=2"],
        "control": Control(0.5, shards=4, progress=True),
    }
    assert capsys.readouterr().out.startswith("3 rows. (")


@pytest.mark.parametrize("wrong", [{"max_bad_fraction": 1.5}, {"shards": 0}])
def test_impossible_control_is_refused(wrong):
    with pytest.raises(TfmmError, match="must be from"):
        Control(**wrong)


def test_a_dry_run_says_what_would_be_and_does_nothing(hand_made, capsys):
    schema, out, _ = hand_made
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    manifest = behaviours.run(
        str(schema),
        str(out / "index"),
        str(out / "vocabularies"),
        str(out / "timelines"),
        str(out.parent / "out.key"),
        control=Control(dry_run=True),
    )
    assert manifest == {}
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "behaviours would"
    assert lines[1].startswith(
        "  read   impressions 6 rows, events 2 rows, users 1 rows; "
    )
    assert lines[2] == (
        f"  write  {out}/timelines, 8 shards, in place of the output that stands there"
    )
    assert lines[3] == "  keep   0 shards that an earlier run finished"
    assert lines[4].startswith("  need   about 300.0 MiB of memory on one machine; ")
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_dry_run_of_a_remote_output(shelved, tmp_path, capsys):
    schema = str(shop.write(tmp_path / "shop"))
    place = "shelf://shop/index"
    item_index.run(schema, place, control=Control(dry_run=True))
    assert f"  write  {place}, 8 shards\n" in capsys.readouterr().out
    assert list(shelved.iterdir()) == []
    item_index.run(schema, place)
    item_index.run(schema, place, control=Control(dry_run=True))
    assert "in place of the output" in capsys.readouterr().out


def test_days_alone_are_planned(hand_made, capsys):
    """The log has its first rows at 100 s and its last at 300 s of 1970."""
    schema, out, _ = hand_made
    known = str(out / "index"), str(out / "vocabularies"), str(out / "timelines")
    behaviours.run(
        str(schema),
        *known,
        str(out.parent / "out.key"),
        from_day="2026-11-25",
        control=Control(dry_run=True),
    )
    assert "impressions 0 rows, events 0 rows, users 1" in capsys.readouterr().out


@pytest.mark.slow
def test_what_is_bad_counts_against_the_rows_of_its_table(tmp_path):
    tables = shop.changed("impressions", time=[100, 100, 200, 200, 300, None])
    schema = str(shop.write(tmp_path / "shop", tables))
    out = str(tmp_path / "index")
    # One of six impressions has no time: a share of 0.17.
    with pytest.raises(TfmmError, match=r"at most 0\.16 of 6 rows") as error:
        behaviours_of(schema, tmp_path, Control(max_bad_fraction=0.16))
    assert "Received: 1." in str(error.value)
    behaviours_of(schema, tmp_path, Control(max_bad_fraction=0.17))
    assert read_manifest(f"{out}2")["counts"]["dropped"] == {"no_time": 1}


def behaviours_of(schema, folder, control):
    key = folder / "key"
    key.write_bytes(shop.KEY)
    made = {name: str(folder / name) for name in ("index", "vocabularies")}
    common = {"schema": schema, "index": made["index"]}
    item_index.run(schema, made["index"])
    vocabularies = importlib.import_module("beam_jobs.vocabularies")
    vocabularies.run(**common, output=made["vocabularies"], key_file=str(key))
    behaviours.run(
        schema,
        **made,
        output=str(folder / "index2"),
        key_file=str(key),
        control=control,
    )
