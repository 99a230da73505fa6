import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tfmm.errors import TfmmError
from tfmm.export.publish import (
    new_version,
    rollback,
    versions,
    withdrawn,
    write_models_config,
)


def publish(base, **kwargs):
    with new_version(base, **kwargs) as draft:
        (draft.folder / "saved_model.pb").write_bytes(b"x")
    return draft.published.name


def test_numbers_count_up(tmp_path):
    assert [publish(tmp_path), publish(tmp_path)] == ["1", "2"]
    assert publish(tmp_path, version=9) == "9"
    assert publish(tmp_path) == "10"
    (tmp_path / "00000011").mkdir()
    assert publish(tmp_path) == "12"


@pytest.mark.parametrize("version", [0, -1, 2**63])
def test_other_numbers_are_refused(tmp_path, version):
    with pytest.raises(TfmmError, match=f"Received: version={version}"):
        publish(tmp_path, version=version)


def test_a_version_stands_once(tmp_path):
    publish(tmp_path, version=3)
    with pytest.raises(TfmmError, match="has this version already"):
        publish(tmp_path, version=3)


def test_a_failed_export_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError), new_version(tmp_path) as draft:
        (draft.folder / "saved_model.pb").write_bytes(b"x")
        assert versions(tmp_path) == []
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_killed_export_leaves_no_number_and_is_cleaned_up(tmp_path):
    code = """
    import sys, time
    from tfmm.export.publish import new_version
    with new_version(sys.argv[1]) as draft:
        (draft.folder / "saved_model.pb").write_bytes(b"x")
        print("written", flush=True)
        time.sleep(60)
    """
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)],
        stdout=subprocess.PIPE,
    )
    assert process.stdout.readline() == b"written\n"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert versions(tmp_path) == []
    assert len(list(tmp_path.iterdir())) == 1
    assert publish(tmp_path) == "1"
    assert [path.name for path in tmp_path.iterdir()] == ["1"]


EXPORT = """
import sys, time
sys.path.insert(0, sys.argv[1])
from export import toy_ranker as toy
from tfmm.export import export_ranker

def written(draft):
    print("written", flush=True)
    time.sleep(600)

ranker = toy.ToyRanker()
ranker(toy.batch())
arguments = ranker, sys.argv[2], toy.index(), toy.VOCABULARIES, toy.request()
export_ranker(*arguments, accept=written if sys.argv[3] == "wait" else None)
"""


@pytest.mark.slow
def test_a_ranker_killed_at_its_last_step_is_not_published(tmp_path):
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", EXPORT, tests, str(tmp_path)]
    process = subprocess.Popen([*command, "wait"], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"written\n"
    process.kill()
    process.wait()
    process.stdout.close()
    left = [path.name for path in (tmp_path / "ranker").iterdir()]
    # The draft, whole but for its number, and the lookup tables' files beside it.
    assert len(left) == 2 and all(name.startswith(".draft-") for name in left)
    assert not (tmp_path / "models.config").exists()
    subprocess.run([*command, "on"], check=True)
    assert [path.name for path in (tmp_path / "ranker").iterdir()] == ["1"]
    assert (tmp_path / "ranker" / "1" / "assets.extra" / "tfmm.json").is_file()


def test_models_config_lists_what_is_published(tmp_path):
    publish(tmp_path / "ranker")
    publish(tmp_path / 'odd "name"')
    (tmp_path / "unfinished" / ".draft-1").mkdir(parents=True)
    text = write_models_config(tmp_path).read_text()
    assert text.count("config {") == 2
    assert f'base_path: "{tmp_path}/ranker"' in text
    assert r'name: "odd \"name\""' in text
    assert sorted(p.name for p in tmp_path.iterdir() if p.is_file()) == [
        "models.config"
    ]


def test_rolled_back_numbers_are_never_given_again(tmp_path):
    for _ in range(4):
        publish(tmp_path)
    assert rollback(tmp_path) == [4]
    assert rollback(tmp_path, to=1) == [3, 2]
    assert versions(tmp_path) == [1] and withdrawn(tmp_path) == [2, 3, 4]
    assert publish(tmp_path) == "5"
    with pytest.raises(TfmmError, match="has this version already"):
        publish(tmp_path, version=3)


@pytest.mark.parametrize("to", [None, 1, 7, 0])
def test_there_must_be_something_to_go_back_to(tmp_path, to):
    publish(tmp_path)
    with pytest.raises(TfmmError, match="no older version to go back to"):
        rollback(tmp_path, to)
    assert versions(tmp_path) == [1]


def test_zeros_before_a_number_do_not_matter(tmp_path):
    publish(tmp_path)
    (tmp_path / "0002").mkdir()
    assert rollback(tmp_path) == [2] and versions(tmp_path) == [1]
