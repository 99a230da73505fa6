"""Jobs that are killed, fail, run out of disk, or are raced by others."""

import io
import os
import random
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path

import big_log
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shop
from forking import Forks
from sample_pictures import encoded, noise

from beam_jobs import (
    behaviours,
    command,
    files,
    item_index,
    item_media,
    log_shards,
    search_pairs,
    vocabularies,
)
from beam_jobs.job import Control, Job, Running
from beam_jobs.locks import lock
from beam_jobs.timeline_shards import WriteShard
from beam_jobs.work import Unit
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest
from tfmm.schema import Schema

SHARDS = 8
CONTROL = Control(shards=SHARDS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(arguments of `behaviours`, what it writes undisturbed) of a log of some size."""
    base = tmp_path_factory.mktemp("big")
    return _made(base, big_log.write(base / "shop", 20_000))


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    base = tmp_path_factory.mktemp("few")
    return _made(base, big_log.write(base / "shop", 400, spoiled=False))


@pytest.fixture
def small(few, tmp_path):
    """The same of a few rows without bad ones, which a test may spoil."""
    arguments, whole = few
    base = whole.parents[1]
    shutil.copytree(base, tmp_path / "own")
    own = {k: v.replace(str(base), f"{tmp_path}/own") for k, v in arguments.items()}
    return own, whole


def _made(base, schema):
    arguments = big_log.prepare(schema, base / "made")
    whole = base / "made/whole"
    behaviours.run(**arguments, output=str(whole), control=CONTROL)
    return arguments, whole


def run(arguments, out, **control):
    return behaviours.run(
        **arguments, output=str(out), control=Control(shards=SHARDS, **control)
    )


def same(out, whole):
    """Equal in bytes and in counts, and nothing left beside it."""
    assert shop.content(out) == shop.content(whole)
    assert read_manifest(out, verify=True) == read_manifest(whole)
    assert [path.name for path in Path(out).parent.glob("out*")] == ["out"]


def half_written(out):
    return [str(x) for x in Path(out).parent.rglob("parts/*")]


# Killed


@pytest.mark.slow
def test_killed_at_ten_random_moments(made, tmp_path):
    arguments, whole = made
    argv = [*big_log.typed(arguments), "--shards", str(SHARDS), "--output"]
    forks = Forks(tmp_path / "said")
    usual = forks.run("behaviours", [*argv, str(tmp_path / "first")])
    assert usual.code == 0, usual.err
    usual = forks.run("behaviours", [*argv, str(tmp_path / "first")])
    killed = 0
    chance = random.Random(0)
    for trial in range(10):
        out = tmp_path / f"{trial}/out"
        at = chance.uniform(0, usual.seconds)
        killed += forks.run("behaviours", [*argv, str(out)], at=at).code == -9
        again = forks.run("behaviours", [*argv, str(out)])
        assert again.code == 0, again.err
        same(out, whole)
    assert killed >= 5  # The others ended first, on a machine less busy.
    forks.close()


@pytest.mark.slow
def test_the_estimate_of_memory_holds(tmp_path):
    schema = big_log.write(tmp_path / "shop", 100_000, spoiled=False)
    arguments = big_log.prepare(schema, tmp_path / "made")
    shop_, forks = Schema.from_yaml(schema), Forks(tmp_path / "said")
    job = Job(
        "behaviours",
        str(tmp_path / "out"),
        shop_,
        ("impressions", "events"),
        row_bytes=log_shards.ROW_BYTES,
    )
    argv = [*big_log.typed(arguments), "--output", str(tmp_path / "out")]
    ended = forks.run("behaviours", argv)
    forks.close()
    assert ended.code == 0, ended.err
    assert ended.peak <= job.plan().memory <= 2 * ended.peak


def stopping(monkeypatch, after, error):
    """Lets so many shards be written; returns the list of those begun."""
    begun, process = [], WriteShard.process

    def counted(self, group):
        begun.append(group[0])
        if len(begun) > after:
            error()
        yield from process(self, group)

    monkeypatch.setattr(WriteShard, "process", counted)
    return begun


def raise_error():
    raise RuntimeError("the worker is ill")


@pytest.mark.slow
def test_finished_shards_are_not_made_again(made, tmp_path, monkeypatch):
    arguments, whole = made
    with monkeypatch.context() as patched:
        first = stopping(patched, 3, raise_error)
        with pytest.raises(RuntimeError, match="the worker is ill"):
            run(arguments, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    second = stopping(monkeypatch, SHARDS, raise_error)
    run(arguments, tmp_path / "out")
    assert len(first[:3]) + len(second) == SHARDS
    assert not set(first[:3]) & set(second)
    same(tmp_path / "out", whole)


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_loses_nothing(made, tmp_path, monkeypatch, capfd):
    arguments, whole = made
    argv = [*big_log.typed(arguments), "--shards", "8", "--output", f"{tmp_path}/out"]

    def typed():
        with pytest.raises(SystemExit) as ended:
            command.main(behaviours._arguments(), behaviours.run, str, argv)
        return ended.value.code

    capfd.readouterr()
    with monkeypatch.context() as patched:
        stopping(patched, 2, lambda: signal.raise_signal(signal.SIGINT))
        assert typed() == 130
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.splitlines()[-1].startswith("Stopped. The same command goes on")
    assert "Traceback" not in said.err and "Error" not in said.err
    assert not (tmp_path / "out").exists() and not half_written(tmp_path / "out")
    left = stopping(monkeypatch, SHARDS, raise_error)
    run(arguments, tmp_path / "out")
    assert len(left) == SHARDS - 2
    same(tmp_path / "out", whole)


# A worker that raises


def raising_at_records(monkeypatch, always):
    """Raises while every unit's first file is written: at each attempt, or once."""
    tried, write = set(), Unit.write

    def failing(self, name, chunks, *rest):
        if always or name not in tried:
            tried.add(name)
            chunks = _hundred_then_fail(chunks)
        write(self, name, chunks, *rest)

    monkeypatch.setattr(Unit, "write", failing)


def _hundred_then_fail(chunks):
    for chunk in chunks:
        yield chunk[: len(chunk) // 2]
        raise LookupError("every hundredth record")


@pytest.mark.slow
def test_a_worker_that_always_raises(made, tmp_path, monkeypatch):
    arguments, whole = made
    run(arguments, tmp_path / "out")
    raising_at_records(monkeypatch, always=True)
    for _ in range(2):
        with pytest.raises(Exception, match="every hundredth record"):
            run(arguments, tmp_path / "out")
        assert not half_written(tmp_path / "out")
        assert shop.content(tmp_path / "out") == shop.content(whole)
    monkeypatch.undo()
    run(arguments, tmp_path / "out")
    same(tmp_path / "out", whole)


@pytest.mark.slow
def test_a_worker_that_raises_once_a_unit(small, tmp_path, monkeypatch):
    """On one machine nothing is tried again but by the next run: it goes on."""
    arguments, whole = small
    raising_at_records(monkeypatch, always=False)
    failed = 0
    while failed < 100:
        try:
            run(arguments, tmp_path / "out")
            break
        except Exception as error:
            assert "every hundredth record" in str(error)
            assert not half_written(tmp_path / "out")
            failed += 1
    assert failed > SHARDS
    same(tmp_path / "out", whole)


# A full disk


@pytest.fixture(params=["real", "simulated"])
def disk(request, tmp_path, monkeypatch):
    """(a folder with room for half an output, a function that makes room)."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "simulated":
        monkeypatch.setattr(files, "open", _limited(400_000), raising=False)
        yield folder, monkeypatch.undo
        return
    mount = ["mount", "-t", "tmpfs", "-o"]
    if subprocess.run([*mount, "size=400k", "none", folder]).returncode:
        pytest.skip("mounting a disk is not permitted here")
    try:
        more = [*mount[:1], "-o", "remount,size=20m", str(folder)]
        yield folder, lambda: subprocess.run(more, check=True)
    finally:
        subprocess.run(["umount", folder], check=True)


def _limited(size):
    """`open` of a disk that has room for so many bytes."""
    left = [size]

    class Limited(io.FileIO):
        def writelines(self, chunks):
            for chunk in chunks:
                left[0] -= len(chunk)
                if left[0] < 0:
                    raise OSError(28, os.strerror(28))
                self.write(chunk)

    return Limited


@pytest.mark.slow
def test_a_full_disk(made, small, disk):
    arguments, whole = made
    folder, make_room = disk
    out = folder / "out"
    run(small[0], out)
    before = shop.content(out)
    with pytest.raises(TfmmError, match=r"The disk of `.*` is full\. Make room"):
        run(arguments, out)
    assert shop.content(out) == before
    assert not half_written(out)
    finished = list(folder.glob("out.work-*/units/shard-*.json"))
    assert 0 < len(finished) < SHARDS
    make_room()
    run(arguments, out)
    same(out, whole)


# Inputs that change


def _vanish(path):
    path.rename(path.with_suffix(".gone"))


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-100])


def _grow(path):
    table = pq.read_table(path)
    pq.write_table(pa.concat_tables([table, table]), path)


def _touch(path):
    os.utime(path, ns=(1, 1))


@contextmanager
def during(monkeypatch, moment, do):
    """Does something once between planning and reading, or when all is read."""
    owner, name = {"planned": (Running, "__init__"), "read": (WriteShard, "process")}[
        moment
    ]
    before, done = getattr(owner, name), []

    def changed(*args):
        if not done:
            done.append(do())
        return before(*args)

    with monkeypatch.context() as patched:
        patched.setattr(owner, name, changed)
        yield
    assert done


@pytest.mark.parametrize("moment", ["planned", "read"])
@pytest.mark.parametrize("change", [_vanish, _truncate, _grow, _touch])
def test_an_input_that_changes_while_it_is_read(
    small, tmp_path, monkeypatch, change, moment
):
    arguments, _ = small
    path = Path(arguments["schema"]).parent / "impressions-1.parquet"
    word = "vanished" if change is _vanish else "changed"
    with (
        during(monkeypatch, moment, lambda: change(path)),
        pytest.raises(TfmmError, match=f"impressions-1.parquet` {word} while"),
    ):
        run(arguments, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("moment", ["planned", "read"])
def test_another_index_meanwhile(small, tmp_path, monkeypatch, moment):
    arguments, _ = small

    def grow():
        ids = ItemIndex.open(arguments["index"]).extend(["new"])
        ids.save(arguments["index"])

    with (
        during(monkeypatch, moment, grow),
        pytest.raises(TfmmError, match=r"index/manifest.json` changed while"),
    ):
        run(arguments, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("moment", ["planned", "read"])
def test_a_file_that_comes_meanwhile_is_for_the_next_run(
    small, tmp_path, monkeypatch, moment
):
    arguments, whole = small
    path = Path(arguments["schema"]).parent / "impressions-1.parquet"
    later = path.with_name("impressions-0b.parquet")
    with during(monkeypatch, moment, lambda: later.write_bytes(path.read_bytes())):
        if moment == "read":
            run(arguments, tmp_path / "out")
            same(tmp_path / "out", whole)
            return
        with pytest.raises(TfmmError, match=r"0b.parquet` came while .* 1 new"):
            run(arguments, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_file_cut_short_before_the_job(small, tmp_path):
    arguments, _ = small
    _truncate(Path(arguments["schema"]).parent / "impressions-1.parquet")
    with pytest.raises(TfmmError, match=r"impressions-1.parquet` cannot be read"):
        run(arguments, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_output_that_holds_inputs_is_refused(small, tmp_path):
    arguments, whole = small
    for name, out in (
        ("index/manifest.json", Path(arguments["index"]).parent),
        ("impressions-0.parquet", Path(arguments["schema"]).parent),
    ):
        (out / "manifest.json").write_text("{}")
        with pytest.raises(TfmmError, match=f"the job reads `.*/{name}` from it"):
            run(arguments, out)
    run(arguments, tmp_path / "out")
    same(tmp_path / "out", whole)


def test_a_remote_output_cannot_be_its_own_input(shelved, tmp_path):
    """Killed while it is replaced, it would be lost."""
    schema = str(shop.write(tmp_path / "shop"))
    item_index.run(schema, "shelf://shop/index")
    with pytest.raises(TfmmError, match="Choose another folder for the output"):
        item_index.run(schema, "shelf://shop/index", previous="shelf://shop/index")
    item_index.run(schema, "shelf://shop/index2", previous="shelf://shop/index")
    item_index.run(schema, str(tmp_path / "index"), previous="shelf://shop/index2")
    item_index.run(schema, str(tmp_path / "index"), previous=str(tmp_path / "index"))


# Two jobs at once


@pytest.mark.slow
def test_a_second_process_refuses_at_once(small, tmp_path):
    arguments, whole = small
    argv = [*big_log.typed(arguments), "--shards", "8", "--output", f"{tmp_path}/out"]
    forks = Forks(tmp_path / "said")
    held = lock(f"{tmp_path}/out.lock")
    refused = forks.run("behaviours", argv)
    assert refused.code == 1 and refused.out == ""
    assert refused.err.startswith("Another job is writing")
    assert "Traceback" not in refused.err
    os.close(held)  # As when its process is killed: the file stays.
    assert forks.run("behaviours", argv).code == 0
    same(tmp_path / "out", whole)
    forks.close()


# Bad records


@pytest.mark.parametrize(("bad", "passes"), [(1, True), (50, False)])
def test_corrupt_pictures(tmp_path, bad, passes):
    good = encoded(noise((16, 16)))
    images = [good[:-9] if n < bad else good for n in range(100)]
    ids = [f"i{n}" for n in range(100)]
    schema = shop.write(
        tmp_path / "shop",
        {"items": {"id": ids, "image": pa.array(images, pa.binary())}},
        items={"files": "items.parquet", "id": "id", "image": "image"},
        media={"image_size": 16},
    )
    ItemIndex.create(ids).save(tmp_path / "index")
    given = str(schema), str(tmp_path / "index"), str(tmp_path / "items")
    if not passes:
        with pytest.raises(TfmmError) as error:
            item_media.run(*given)
        message = str(error.value)
        assert "Too many bad records in `items`" in message
        assert "at most 0.25 of 100 rows" in message and "Received: 50" in message
        assert not (tmp_path / "items").exists()
        place = Path(message.split("are in ")[1].split(";")[0])
        lines = [x for path in place.iterdir() for x in path.read_text().splitlines()]
        assert len(lines) == 50
        item_media.run(*given, control=Control(max_bad_fraction=1))
    else:
        item_media.run(*given)
    letters = shop.letters(tmp_path / "items")
    assert [row for _, row, _, _ in letters] == list(range(bad))
    assert len(shop.records(tmp_path / "items")) == 100


# Other runners and other stores


@pytest.mark.parametrize("mode", ["multi_threading"])
def test_threads_write_the_same_bytes(made, tmp_path, mode):
    arguments, whole = made
    flags = [f"--direct_running_mode={mode}", "--direct_num_workers=2"]
    behaviours.run(
        **arguments,
        output=str(tmp_path / "out"),
        control=CONTROL,
        pipeline_args=flags,
    )
    same(tmp_path / "out", whole)


def checksums(folder):
    """Name -> checksum of every file but the part manifests', which hold none."""
    return {k: v["sha256"] for k, v in files.manifest(str(folder))["files"].items()}


def build_on(store, schema, key, flags=()):
    """All jobs of a shop that read no model, each reading what others wrote there."""
    places = {
        name: f"{store}/{name}"
        for name in ("index", "items", "pairs", "vocabularies", "log")
    }
    common = {
        "schema": str(schema),
        "control": Control(1, shards=4),
        "pipeline_args": flags,
    }
    index = common | {"index": places["index"]}
    item_index.run(**common, output=places["index"])
    item_media.run(**index, output=places["items"])
    search_pairs.run(**index, items=places["items"], output=places["pairs"])
    vocabularies.run(**index, key_file=key, output=places["vocabularies"])
    behaviours.run(
        **index,
        key_file=key,
        vocabularies=places["vocabularies"],
        output=places["log"],
    )
    return places


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["shelf", "tree"])
def test_jobs_on_an_object_store(scheme, shelved, tmp_path):
    schema, key = shop.write(tmp_path / "shop"), tmp_path / "key"
    key.write_bytes(shop.KEY)
    local = build_on(tmp_path, schema, str(key))
    remote = build_on(f"{scheme}://shop", schema, str(key))
    for name in local:
        assert checksums(remote[name]) == checksums(local[name]), name
        found = dict.fromkeys(files.below(remote[name]))
        assert found == dict.fromkeys(files.below(local[name])), name
        assert files.manifest(remote[name]) == files.manifest(local[name]), name
    beside = [name for name in files.names(f"{scheme}://shop") if "." in name]
    assert beside == []


@pytest.mark.slow
def test_worker_processes_write_to_an_object_store(
    shelved, tmp_path, made, monkeypatch
):
    arguments, whole = made
    # Beam knows gs:// and s3:// by itself; what else there is, Python has to load.
    (tmp_path / "sitecustomize.py").write_text("import shelf")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=os.pathsep)
    flags = ["--direct_running_mode=multi_processing", "--direct_num_workers=2"]
    out = "shelf://shop/out"
    behaviours.run(**arguments, output=out, control=CONTROL, pipeline_args=flags)
    assert checksums(out) == checksums(whole)
