"""Units of work and their commit, killed at every change that they make."""

import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import shelf

from beam_jobs import files
from beam_jobs.counters import count
from beam_jobs.output import writing
from beam_jobs.work import PACKS, Work, shard_key, whole_units
from tfmm.errors import TfmmError
from tfmm.records import manifest
from tfmm.records.manifest import read_manifest
from tfmm.tables import DeadLetter


@pytest.fixture(params=["", "shelf://", "tree://"])
def out(request, tmp_path, shelved):
    """Where an output shall stand: on a local disk, an object store, or like HDFS."""
    if request.param:
        return f"{request.param}shop/out"
    (tmp_path / "near").mkdir()
    return str(tmp_path / "near/out")


@pytest.fixture
def remote(shelved):
    return "shelf://shop/out"


def make(out, digest="d", shards=2, parts=("train", "test"), made=None):
    """A job by hand: every shard has a file a part; shard 1 leaves a row out."""
    with writing(out, digest, shards) as output:
        output.work.letters("read", [DeadLetter("b", 1, "x", "bad")], "t")
        for n in output.work.left():
            (made if made is not None else []).append(n)
            with output.work.unit(shard_key(n)) as unit:
                for part in parts:
                    unit.write(f"{part}/{n}-of-{shards}", [digest.encode(), b"!"])
                if n:
                    unit.letter(DeadLetter("a", 2, "x", "late"), "t")
                count("t:read", 10)
        found = {part: {"kind": "part", "counts": {}} for part in parts}
        output.commit({**found, "": {"kind": "whole", "counts": {}}})


LETTERS = b"""\
{"file": "a", "row": 2, "column": "x", "reason": "late"}
{"file": "b", "row": 1, "column": "x", "reason": "bad"}
"""
OLD = {"left/0-of-1": b"c!", "dead_letters.jsonl": LETTERS.splitlines(True)[1]}
NEW = {
    "dead_letters.jsonl": LETTERS,
    "test/0-of-2": b"d!",
    "test/1-of-2": b"d!",
    "train/0-of-2": b"d!",
    "train/1-of-2": b"d!",
}


def content(out):
    """Name -> bytes of what stands there, but the manifests."""
    return {
        name: files.read(f"{out}/{name}")
        for name in files.below(out)
        if not name.endswith("manifest.json")
    }


def beside(out):
    """What stands beside an output."""
    return [name for name in files.names(out.rsplit("/", 1)[0]) if name != "out"]


def finished(out):
    """What a reader finds: the content, if its manifest and checksums agree."""
    try:
        facts = files.manifest(out)["files"]
    except TfmmError:
        return None
    for name, fact in facts.items():
        data = files.read(f"{out}/{name}")
        assert fact["bytes"] == len(data)
        assert fact["sha256"] == hashlib.sha256(data).hexdigest()
    return {name: files.read(f"{out}/{name}") for name in facts}


def test_an_output_of_units(out):
    make(out)
    assert content(out) == finished(out) == NEW
    assert beside(out) == []
    train = files.manifest(f"{out}/train", "part")["files"]
    assert [*train] == ["0-of-2", "1-of-2"]


def test_nothing_of_an_earlier_output_stays(out):
    make(out, "c", shards=1, parts=["left"])
    make(out)
    assert content(out) == NEW
    manifests = [name for name in files.below(out) if name.endswith("manifest.json")]
    assert manifests == ["manifest.json", "test/manifest.json", "train/manifest.json"]
    assert beside(out) == []


@contextmanager
def killed(monkeypatch, out, changes):
    """Ends at so many changes, as a kill does: nothing is tidied after it."""
    if not files.is_local(out):
        with shelf.dying(changes):
            yield
        return
    # Its process is gone then.
    monkeypatch.setattr(manifest, "is_alive", lambda process: False)
    left = [changes]

    def counted(do):
        def done(*args, **options):
            if left[0] == 0:
                raise shelf.Killed
            left[0] -= 1
            return do(*args, **options)

        return done

    def tidying(do):
        return lambda *args, **options: left[0] and do(*args, **options)

    with monkeypatch.context() as patched:
        for name in ("replace", "rename"):
            patched.setattr(os, name, counted(getattr(os, name)))
        patched.setattr(shutil, "rmtree", counted(shutil.rmtree))
        patched.setattr(files, "remove", tidying(files.remove))
        yield


@pytest.mark.slow
@pytest.mark.parametrize("first", [False, True])
def test_killed_at_any_change_and_run_again(out, monkeypatch, first):
    changes = 0
    while True:
        files.remove_folder(out)
        if not first:
            make(out, "c", shards=1, parts=["left"])
        try:
            with killed(monkeypatch, out, changes):
                make(out)
        except shelf.Killed:
            pass
        else:
            break
        # Readers find the earlier output, the new one, or none; never a mixture.
        assert finished(out) in (OLD, NEW, None)
        if files.is_local(out) and not first and os.path.exists(out):
            assert finished(out) in (OLD, NEW)
        make(out)
        assert content(out) == finished(out) == NEW, changes
        assert beside(out) == [], changes
        changes += 1
    # Five files and three letters or records are moved before the output is.
    assert changes > 8


def test_killed_twice_and_then_another_job(out, monkeypatch):
    """Files of two commits that did not end go with the third."""
    for digest, shards, parts in (("x", 3, ["left"]), ("y", 2, ["right"])):
        for changes in range(100):
            with killed(monkeypatch, out, changes):
                with suppress(shelf.Killed):
                    make(out, digest, shards, parts)
                if files.names(out):  # The first change of the output itself.
                    break
        if files.is_local(out):
            shutil.rmtree(out)
    make(out)
    assert content(out) == NEW
    if files.is_local(out):
        assert beside(out) == []


def test_what_is_finished_is_not_made_again(out, monkeypatch):
    made = []
    with pytest.raises(shelf.Killed), writing(out, "d", 2) as output:
        with output.work.unit(shard_key(1)) as unit:
            for part in ("train", "test"):
                unit.write(f"{part}/1-of-2", [b"d!"])
            unit.letter(DeadLetter("a", 2, "x", "late"), "t")
            count("t:read", 10)
        raise shelf.Killed
    units = whole_units(f"{out}.work-d")
    assert units["shard-00001"]["counts"] == {"t:bad": 1, "t:read": 10}
    make(out, made=made)
    assert made == [0]
    assert content(out) == NEW


@pytest.mark.parametrize("name", ["out/train/1-of-2", "letters/shard-00001.jsonl"])
def test_a_unit_that_lost_a_file_is_made_again(out, name):
    made = []
    with writing(out, "d", 2) as output:
        for n in (0, 1):
            with output.work.unit(shard_key(n)) as unit:
                for part in ("train", "test"):
                    unit.write(f"{part}/{n}-of-2", [b"d!"])
                if n:
                    unit.letter(DeadLetter("a", 2, "x", "late"), "t")
    files.write(f"{out}.work-d/{name}", [b"cut"])
    make(out, made=made)
    assert made == [1] and content(out) == NEW


def test_other_inputs_do_not_go_on_with_it(out):
    with writing(out, "d", 2) as output, output.work.unit(shard_key(0)) as unit:
        unit.write("train/0-of-2", [b"other"])
    with writing(out, "e", 2) as output:
        assert output.work.left() == [0, 1]
    # Alone on a local disk, a job tidies up; on a store others may be at work.
    assert (beside(out) == []) == files.is_local(out)


def test_a_missing_shard_is_no_output(out):
    with (
        pytest.raises(TfmmError, match="none of shard-00001"),
        writing(out, "d", 2) as output,
    ):
        with output.work.unit(shard_key(0)) as unit:
            unit.write("0-of-2", [b"d"])
        output.commit({"": {"kind": "whole", "counts": {}}})
    assert finished(out) is None


@pytest.mark.parametrize("again", [False, True])
def test_a_unit_that_fails_leaves_nothing(out, again):
    """Neither files nor letters nor counts; and a further attempt is as the first."""
    work = Work(f"{out}.work-d", 1)

    def attempt(fails):
        with work.unit("a") as unit:
            unit.write("x", [b"one"])
            unit.letter(DeadLetter("a", 2, "x", "late"), "t")
            unit.write("y", _failing(100 if fails else 1000), PACKS)

    with pytest.raises(ZeroDivisionError):
        attempt(fails=True)
    assert files.below(work.folder) == [] and whole_units(work.folder) == {}
    if again:
        attempt(fails=False)
        found = ["letters/a.jsonl", "out/x", "packs/y", "units/a.json"]
        assert files.below(work.folder) == found
        facts = whole_units(work.folder)["a"]
        assert facts["counts"] == {"t:bad": 1}
        assert facts["files"]["out/x"]["bytes"] == 3


def _failing(at):
    for n in range(500):
        yield b"%d" % (1 // (at - n) if at == n else n)


def test_two_attempts_at_once_are_one_unit(out):
    """As when a cluster tries a slow worker's unit elsewhere too."""
    work = Work(f"{out}.work-d", 1)
    with work.unit("a") as one, work.unit("a") as other:
        for unit in (one, other):
            unit.write("x", [b"same"])
    assert files.below(work.folder) == ["out/x", "units/a.json"]
    assert files.read(work.path("out/x")) == b"same"


# Who may write


def test_what_is_no_output_is_not_replaced(out):
    files.write(f"{out}/thesis.doc", [b"x"])
    with (
        pytest.raises(TfmmError, match="it is no earlier output"),
        writing(out, "d", 1),
    ):
        pass
    assert files.below(out) == ["thesis.doc"]
    assert beside(out) == []


def test_a_mounted_disk_cannot_be_replaced(tmp_path, monkeypatch):
    monkeypatch.setattr(os.path, "ismount", lambda path: True)
    with pytest.raises(TfmmError, match="a disk is mounted"), writing("/o", "d", 1):
        pass


def test_a_second_job_on_a_local_disk_refuses(tmp_path):
    out = str(tmp_path / "out")
    with writing(out, "d", 1):
        for digest in ("d", "e"):
            with (
                pytest.raises(TfmmError, match="Another job is writing"),
                writing(out, digest, 1),
            ):
                pass
        assert Path(f"{out}.lock").exists()
    assert beside(out) == []
    make(out)


def test_a_second_job_on_a_store_wins(remote):
    with (
        pytest.raises(TfmmError, match="Another job began to write"),
        writing(remote, "d", 1) as first,
    ):
        with first.work.unit(shard_key(0)) as unit:
            unit.write("x", [b"first"])
        with writing(remote, "e", 1) as second:
            with second.work.unit(shard_key(0)) as unit:
                unit.write("x", [b"second"])
            # Refused before anything moves; it takes nobody else's claim along.
            with pytest.raises(TfmmError):
                first.commit({"": {"kind": "whole", "counts": {}}})
            assert content(remote) == {}
            second.commit({"": {"kind": "whole", "counts": {}}})
        first.commit({"": {"kind": "whole", "counts": {}}})
    assert finished(remote) == {"x": b"second"}


def test_a_claim_in_mid_commit_leaves_no_output(remote, monkeypatch):
    move = files.move

    def claiming(moves):
        move(moves)
        if any("/out/x" in target for target in moves.values()):
            files.write(f"{remote}.claim", [b"another"])

    with writing(remote, "d", 1) as first:
        with first.work.unit(shard_key(0)) as unit:
            unit.write("x", [b"first"])
        with monkeypatch.context() as patched:
            patched.setattr(files, "move", claiming)
            with pytest.raises(TfmmError, match="Another job began to write"):
                first.commit({"": {"kind": "whole", "counts": {}}})
    with pytest.raises(TfmmError, match="not a finished output"):
        files.manifest(remote)
    make(remote)
    assert content(remote) == NEW


def test_the_manifest_comes_last(remote):
    make(remote, "c", shards=1, parts=["left"])
    before = len(shelf.log())
    make(remote)
    place = f"{remote}/"
    changes = [
        (what, path.removeprefix(place))
        for what, path in shelf.log()[before:]
        if path.startswith(place)
    ]
    assert changes[:4] == [
        ("delete", "manifest.json"),
        ("delete", "left/manifest.json"),
        ("delete", "left/0-of-1"),
        ("delete", "dead_letters.jsonl"),
    ]
    assert {what for what, _ in changes[4:9]} == {"copy"}
    assert changes[9:] == [
        ("write", "train/manifest.json"),
        ("write", "test/manifest.json"),
        ("write", "manifest.json"),
    ]


def test_a_saved_folder_is_an_output_too(out, tmp_path):
    """As jobs write it whose output is one small thing."""
    make(out, "c", shards=1, parts=["left"])
    with writing(out, "d", 1) as output:
        output.work.letters("read", [DeadLetter("b", 1, "x", "bad")], "t")
        with manifest.writing(tmp_path / "saved") as tmp:
            (tmp / "words").write_text("hello")
            manifest.write_manifest(tmp, kind="words", counts={"read": 1}, more=2)
        output.commit_saved(tmp_path / "saved")
    assert (
        finished(out)
        == content(out)
        == {
            "words": b"hello",
            "dead_letters.jsonl": LETTERS.splitlines(True)[1],
        }
    )
    found = files.manifest(out, "words")
    assert (found["counts"], found["more"]) == ({"read": 1}, 2)
    assert beside(out) == []
    if files.is_local(out):
        read_manifest(out, verify=True)


def test_progress_is_this_runs_alone(tmp_path):
    out = str(tmp_path / "out")
    with writing(out, "d", 1) as output:
        output.work.tick("rows", 5)
        output.work.tick("rows", 0)
        assert output.work.progress() == {"rows": 5}
    with writing(out, "d", 1) as output:
        assert output.work.progress() == {}
        assert json.dumps(output.work.run)
        output.work.tick("rows", 7)
        assert output.work.progress() == {"rows": 7}
