import subprocess
import sys

import numpy as np
import pyarrow as pa
import pytest
import shop

from beam_jobs import common, item_index
from tfmm.records.manifest import read_manifest


def test_by_shard_keeps_every_row():
    table = pa.table({"x": range(100)})
    keys = np.arange(100) * 7
    found = dict(common.by_shard(table, keys, 8))
    rows = pa.concat_tables(found.values())["x"].to_pylist()
    assert sorted(rows) == [*range(100)]
    assert found[7]["x"].to_pylist()[0] == 1


def test_counts_of_a_table():
    found = {"t:read": 5, "t:dropped:b": 1, "t:dropped:a": 2, "tt:read": 9}
    counts = common.table_counts(found, "t")
    assert counts == {"read": 5, "written": 2, "dropped": {"a": 2, "b": 1}}


def test_the_runner_may_be_any():
    chosen = common.options([]).get_all_options()["runner"]
    assert chosen == "FnApiRunner"
    assert common.options(["--runner=X"]).get_all_options()["runner"] == "X"


def test_the_command_line(hand_made, tmp_path):
    schema, out, _ = hand_made
    args = ["--schema", str(schema), "--output", str(tmp_path / "index")]
    command = [sys.executable, "-m", "beam_jobs.item_index", *args]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert '"only_in_logs": 2' in done.stdout
    assert shop.content(tmp_path / "index") == shop.content(out / "index")
    args[1] = str(tmp_path / "absent.yaml")
    with pytest.raises(SystemExit, match="There is no file"):
        common.main(item_index._arguments(), item_index.run, args)


@pytest.mark.slow
def test_worker_processes_write_the_same_bytes(hand_made, tmp_path):
    from beam_jobs import behaviours

    schema, out, _ = hand_made
    behaviours.run(
        str(schema),
        str(out / "index"),
        str(out / "vocabularies"),
        str(tmp_path / "timelines"),
        str(out.parent / "out.key"),
        ["--direct_running_mode=multi_processing", "--direct_num_workers=2"],
    )
    assert shop.content(tmp_path / "timelines") == shop.content(out / "timelines")
    counts = read_manifest(tmp_path / "timelines")["counts"]
    assert counts == read_manifest(out / "timelines")["counts"]
