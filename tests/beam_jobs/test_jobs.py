import os
import subprocess
import sys

import pytest
import shop
from apache_beam.io.filesystems import FileSystems
from apache_beam.options.pipeline_options import HadoopFileSystemOptions

from beam_jobs import command, item_index
from beam_jobs.counters import table_counts
from beam_jobs.job import Control, Job
from beam_jobs.stretch import Stretch
from tfmm.schema import Schema


def test_counts_of_a_table():
    found = {"t:read": 5, "t:dropped:b": 1, "t:dropped:a": 2, "tt:read": 9}
    counts = table_counts(found, "t")
    assert counts == {"read": 5, "written": 2, "dropped": {"a": 2, "b": 1}}


def test_the_runner_may_be_any():
    for given, chosen in (([], "FnApiRunner"), (["--runner=X"], "X")):
        options = Job("job", "out", pipeline_args=given).options.get_all_options()
        assert options["runner"] == chosen


def test_only_the_same_job_goes_on_with_a_killed_one(tmp_path, monkeypatch):
    schema = shop.write(tmp_path / "shop")
    monkeypatch.chdir(tmp_path)

    def digest(path="shop/schema.yaml", **changes):
        given = {"tables": ["items"], "folders": ["index"], "arguments": {"a": 1}}
        return Job("job", "out", Schema.from_yaml(path), **(given | changes)).digest

    first = digest()
    assert digest() == first
    # Neither where it is typed nor what Beam is told changes an output.
    assert digest(str(schema), folders=[str(tmp_path / "index")]) == first
    assert digest(pipeline_args=["--runner=X"]) == first
    assert digest(control=Control(max_bad_fraction=1)) == first
    others = [
        digest(tables=["items", "users"]),
        digest(arguments={"a": 2}),
        digest(folders=[]),
        digest(control=Control(shards=16)),
        digest(stretch=Stretch.of(None, "2026-11-25")),
        digest(stretch=Stretch.of(None, "2026-11-25", lateness_days=2)),
    ]
    os.utime(tmp_path / "shop/items.parquet", ns=(1, 1))
    others.append(digest())
    assert len({first, *others}) == 8


@pytest.mark.slow
def test_the_command_line(hand_made, tmp_path):
    schema, out, _ = hand_made
    args = ["--schema", str(schema), "--output", str(tmp_path / "index")]
    typed = [sys.executable, "-m", "beam_jobs.item_index", *args]
    done = subprocess.run(typed, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("item_index: 5 items, 2 of them only in logs. Next")
    assert shop.content(tmp_path / "index") == shop.content(out / "index")
    args[1] = str(tmp_path / "absent.yaml")
    with pytest.raises(SystemExit, match="There is no file"):
        command.main(item_index._arguments(), item_index.run, str, args)


def test_file_systems_know_their_flags_before_the_pipeline(hand_made, tmp_path):
    schema, out, _ = hand_made
    index = str(tmp_path / "index")
    item_index.run(str(schema), index, pipeline_args=["--hdfs_host=namenode"])
    options = FileSystems._pipeline_options.view_as(HadoopFileSystemOptions)
    assert options.hdfs_host == "namenode"
    assert shop.content(index) == shop.content(out / "index")
