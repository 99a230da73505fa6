import json
import os
import signal
import subprocess
import sys

import pytest

from tfmm.errors import TfmmError
from tfmm.records.manifest import NAME, read_manifest, write_manifest, writing

COUNTS = {"read": 1, "written": 1}


def output(folder, text="hello"):
    with writing(folder) as tmp:
        (tmp / "sub").mkdir()
        (tmp / "sub" / "a.txt").write_text(text)
        write_manifest(tmp, kind="words", counts=COUNTS, more=[1])
    return folder


def test_what_it_says(tmp_path):
    manifest = read_manifest(output(tmp_path / "words"), kind="words", verify=True)
    assert manifest["counts"] == COUNTS and manifest["more"] == [1]
    assert list(manifest["files"]) == ["sub/a.txt"]


def test_no_manifest(tmp_path):
    with pytest.raises(TfmmError, match="not a finished output"):
        read_manifest(tmp_path)


def test_another_kind_format_or_no_json(tmp_path):
    folder = output(tmp_path / "words")
    with pytest.raises(TfmmError, match=r"Expected: catalog. Received: words"):
        read_manifest(folder, kind="catalog")
    (folder / NAME).write_text(json.dumps({"format": 0}))
    with pytest.raises(TfmmError, match="another format"):
        read_manifest(folder)
    (folder / NAME).write_text("{")
    with pytest.raises(TfmmError, match="not valid JSON"):
        read_manifest(folder)


def test_truncated_absent_and_changed_files(tmp_path):
    folder = output(tmp_path / "words")
    file = folder / "sub" / "a.txt"
    file.write_text("jello")
    read_manifest(folder)
    with pytest.raises(TfmmError, match="was changed after"):
        read_manifest(folder, verify=True)
    file.write_text("hell")
    with pytest.raises(TfmmError, match=r"Expected: 5 bytes. Received: 4 bytes"):
        read_manifest(folder)
    file.unlink()
    with pytest.raises(TfmmError, match="Received: no file"):
        read_manifest(folder)


def test_a_failed_writer_leaves_the_old_folder(tmp_path):
    folder = output(tmp_path / "words")
    with pytest.raises(KeyboardInterrupt), writing(folder) as tmp:
        (tmp / "b.txt").write_text("half")
        raise KeyboardInterrupt
    read_manifest(folder, verify=True)
    assert os.listdir(tmp_path) == ["words"]


def test_a_new_output_takes_the_old_ones_place(tmp_path):
    folder = output(output(tmp_path / "words"), "again")
    assert (folder / "sub" / "a.txt").read_text() == "again"
    assert os.listdir(tmp_path) == ["words"]


def test_a_folder_that_is_no_output_is_never_replaced(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").touch()
    with pytest.raises(TfmmError, match="no earlier output"):
        output(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").exists()
    (tmp_path / "empty").mkdir()
    output(tmp_path / "empty")


KILLED = """
import sys, time
from tfmm.records.manifest import writing
with writing(sys.argv[1]) as tmp:
    (tmp / "b.txt").write_text("half")
    print("writing", flush=True)
    time.sleep(60)
"""


def test_a_killed_writer_leaves_the_old_folder(tmp_path):
    folder = output(tmp_path / "words")
    args = [sys.executable, "-c", KILLED, str(folder)]
    with subprocess.Popen(args, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        beside = output(tmp_path / "words", "while another writes")
        assert len(os.listdir(tmp_path)) == 2  # its work is not touched
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (beside / "sub" / "a.txt").read_text() == "while another writes"
    output(folder)
    assert os.listdir(tmp_path) == ["words"]  # what it left is removed


def dead_process():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def test_killed_between_the_two_renames(tmp_path):
    folder = output(tmp_path / "words")
    folder.rename(tmp_path / f"words.old-{dead_process()}-0123abcd")
    with pytest.raises(KeyError), writing(folder):
        assert folder.is_dir()  # put back before anything else
        raise KeyError
    read_manifest(folder, verify=True)


def test_only_its_own_leftovers_are_removed(tmp_path):
    dead = dead_process()
    others = [f"words2.tmp-{dead}-0123abcd", "words.tmp-mine", f"words.tmp-{dead}"]
    for name in others:
        (tmp_path / name).mkdir()
    (tmp_path / f"words.tmp-{dead}-0123abcd").mkdir()
    output(tmp_path / "words")
    assert sorted(os.listdir(tmp_path)) == sorted([*others, "words"])
