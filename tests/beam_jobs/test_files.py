import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from beam_jobs import copies, files
from beam_jobs.locks import lock
from tfmm.errors import TfmmError
from tfmm.records.manifest import write_manifest, writing
from tfmm.records.tfrecord import framed


@pytest.fixture(params=["", "shelf://", "tree://"])
def base(request, tmp_path, shelved):
    return f"{request.param}{'shop' if request.param else tmp_path / 'shop'}"


def put(base, *names):
    for name in names:
        files.write(f"{base}/{name}", [name.encode()])


def test_written_and_read(base):
    files.write(f"{base}/a/b", [b"one", b"", b"two"])
    assert files.read(f"{base}/a/b") == b"onetwo"
    assert b"".join(files.content(f"{base}/a/b")) == b"onetwo"
    assert files.read_range(f"{base}/a/b", 2, 3) == b"etw"
    files.write(f"{base}/a/b", [b"new"])
    assert files.read(f"{base}/a/b") == b"new"
    size, changed = files.facts(f"{base}/a/b")
    assert size == 3 and changed > 0
    assert files.facts(f"{base}/a/absent") is None


def test_records(base):
    files.write(f"{base}/r", map(framed, [b"x", b"yy"]))
    assert list(files.records(f"{base}/r")) == [b"x", b"yy"]
    files.write(f"{base}/r", [framed(b"x")[:-1]])
    with pytest.raises(TfmmError, match="/r`"):
        list(files.records(f"{base}/r"))


def test_names_and_all_below(base):
    assert files.names(f"{base}/absent") == []
    put(base, "b.json", "a.json", "a.json.part", "in/c.json", "in/deep/d")
    assert files.names(base, ".json") == ["a.json", "b.json"]
    below = ["a.json", "a.json.part", "b.json", "in/c.json", "in/deep/d"]
    assert files.below(base) == below


def test_moved_over_what_stands_there(base):
    put(base, "a", "b", "in/old")
    files.move({f"{base}/a": f"{base}/in/old", f"{base}/b": f"{base}/new/b"})
    assert files.below(base) == ["in/old", "new/b"]
    assert files.read(f"{base}/in/old") == b"a"


def test_removed(base):
    put(base, "a", "b", "in/c", "in/deep/d", "in-other/e")
    files.remove([f"{base}/a", f"{base}/absent"])
    files.remove_folder(f"{base}/in")
    files.remove_folder(f"{base}/absent")
    assert files.below(base) == ["b", "in-other/e"]


def test_many_at_once_keep_their_order(base):
    names = [f"{n:03d}" for n in range(100)]
    put(base, *names)
    found = files.each(files.read, [f"{base}/{name}" for name in names])
    assert found == [name.encode() for name in names]


def test_file_systems_that_nobody_knows_are_named():
    with pytest.raises(TfmmError, match=r"Received: nowhere://, .*Install the Beam"):
        files.checked("nowhere://out")
    assert files.checked("out/") == str(Path("out").absolute())


@pytest.mark.parametrize("number", [28, 122])  # ENOSPC, EDQUOT
def test_a_full_disk_teaches(tmp_path, monkeypatch, number):
    def full(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "replace", full)
    put(tmp_path, "a")
    with pytest.raises(TfmmError, match="is full"):
        files.move({f"{tmp_path}/a": f"{tmp_path}/b"})


def test_a_forbidden_folder_teaches(tmp_path, monkeypatch):
    def forbidden(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "makedirs", forbidden)
    with pytest.raises(TfmmError, match=r"/a` cannot be written\. .*Permission"):
        put(tmp_path, "a")


# Copies of remote folders


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(copies, "_made", {})
    return folder


def output(folder, text):
    """A finished output on a remote folder."""
    with tempfile.TemporaryDirectory() as near:
        with writing(Path(near) / "x") as tmp:
            (tmp / "in").mkdir()
            (tmp / "in/a").write_text(text)
            write_manifest(tmp, kind="words", counts={})
        for path in files.below(f"{near}/x"):
            files.write(f"{folder}/{path}", files.content(f"{near}/x/{path}"))


@pytest.mark.parametrize("scheme", ["shelf", "tree"])
def test_an_output_is_fetched_once_a_version(shelved, temporary, scheme):
    folder = f"{scheme}://shop/out"
    with pytest.raises(TfmmError, match="not a finished output"):
        files.fetched(folder)
    output(folder, "one")
    copy = files.fetched(folder)
    assert (copy / "in/a").read_text() == "one"
    assert files.fetched(f"{folder}/") == copy
    output(folder, "three")
    assert (files.fetched(folder) / "in/a").read_text() == "three"
    assert files.fetched(str(copy)) == copy


@pytest.mark.parametrize("scheme", ["shelf", "tree"])
def test_a_tree_without_manifest_is_fetched(shelved, temporary, scheme):
    put(f"{scheme}://model", "saved_model.pb", "variables/variables.index")
    copy = files.fetched_tree(f"{scheme}://model")
    assert files.below(str(copy)) == ["saved_model.pb", "variables/variables.index"]
    assert files.fetched_tree(f"{scheme}://model") == copy
    assert files.fetched_tree(str(copy)) == copy


FETCH = """
import os, signal, sys
import shelf
from beam_jobs import files
print(files.fetched_tree("shelf://model"))
if "fork" in sys.argv and os.fork() == 0:
    sys.exit()
if "fork" in sys.argv:
    os.wait()
    assert files.fetched_tree("shelf://model").joinpath("a").exists()
if "killed" in sys.argv:
    os.kill(os.getpid(), signal.SIGKILL)
"""


def fetch(*args):
    done = subprocess.run(
        [sys.executable, "-c", FETCH, *args], capture_output=True, text=True
    )
    assert done.returncode == (-9 if "killed" in args else 0), done.stderr
    return Path(done.stdout.split()[0])


@pytest.mark.slow
def test_copies_go_with_their_process(shelved, temporary, monkeypatch):
    put("shelf://model", "a")
    assert not fetch("fork").exists()
    left = fetch("killed")
    assert left.exists()
    own = files.fetched_tree("shelf://model")  # removes what the killed one left
    assert own.exists() and not left.exists()
    assert not fetch().exists()
    assert own.exists()


def test_locks_end_with_their_holder(tmp_path):
    path = str(tmp_path / "lock")
    held = lock(path)
    assert held is not None and lock(path) is None
    os.close(held)
    again = lock(path)
    assert again is not None
    # Whoever waits for a lock that its holder removes gets the new file's.
    os.unlink(path)
    new = lock(path)
    assert new is not None
    assert lock(f"{tmp_path}/absent", folder=True) is None
    for each in (again, new):
        os.close(each)
