import pytest
from serving.small_models import LARGEST

from tfmm.errors import TfmmError
from tfmm.serving import Server
from tfmm.serving.config import version_folders
from tfmm.serving.config_file import ModelConfigFile
from tfmm.serving.status import StatusError
from tfmm.serving.versions import ModelManager


def entry(base, name="m", labels=""):
    return f'config {{ name: "{name}" base_path: "{base}" {labels} }}'


def label(name, version):
    return f'version_labels {{ key: "{name}" value: {version} }}'


@pytest.fixture
def base(tmp_path):
    for version in (1, 2):
        folder = tmp_path / "m" / str(version)
        folder.mkdir(parents=True)
        (folder / "saved_model.pb").write_text(str(version))
    return tmp_path / "m"


@pytest.fixture
def write(tmp_path):
    def write(*entries):
        text = f"model_config_list {{ {' '.join(entries)} }}"
        (tmp_path / "models.config").write_text(text)
        return tmp_path / "models.config"

    return write


def test_it_is_read_once_unless_told_to_look_again(base, write):
    path = write(entry(base))
    once, often = ModelConfigFile(path), ModelConfigFile(path, poll_seconds=1e-9)
    write(entry(base), entry(base, "n"))
    assert set(once()) == {"m"} and set(often()) == {"m", "n"}


def test_a_spoilt_file_is_told_once_and_the_last_good_one_stays(base, write, caplog):
    path = write(entry(base))
    find = ModelConfigFile(path, poll_seconds=1e-9)
    path.write_text("model_config_list {")
    assert set(find()) == set(find()) == {"m"}
    path.unlink()
    assert set(find()) == {"m"}
    assert [record.getMessage()[:31] for record in caplog.records] == [
        "The models stay as they were: `",
        "The models stay as they were: T",
    ]
    with pytest.raises(TfmmError, match="no such model config file"):
        ModelConfigFile(path)


def test_labels_move_only_to_versions_that_are_available(base, write, caplog):
    everything = "model_version_policy { all {} }"
    path = write(entry(base, labels=everything + label("stable", 1)))
    find = ModelConfigFile(path, poll_seconds=1e-9)
    manager = ModelManager(find, lambda folder: folder.name)
    manager.poll()
    assert manager.get("m", label="stable") == (1, "1")
    write(entry(base, labels=everything + label("stable", 9) + label("new", 9)))
    manager.poll()
    manager.poll()
    assert manager.get("m", label="stable") == (1, "1")
    with pytest.raises(StatusError, match="version label: new"):
        manager.get("m", label="new")
    assert [record.getMessage() for record in caplog.records] == [
        "Request to assign label to version 9 of model m, which is not currently "
        "available for inference"
    ]
    (base / "2").rename(base / "9")
    manager.poll()
    assert manager.get("m", label="stable") == manager.get("m", label="new")
    assert manager.get("m", label="new") == (9, "9") and not manager.refused_labels
    write(entry(base, labels=everything + label("new", 9)))
    manager.poll()
    with pytest.raises(StatusError, match="version label: stable"):
        manager.get("m", label="stable")


def test_a_label_stays_when_its_version_goes(base, write):
    everything = "model_version_policy { all {} }"
    find = ModelConfigFile(write(entry(base, labels=everything + label("old", 1))))
    manager = ModelManager(find, lambda folder: folder.name)
    manager.poll()
    (base / "1" / "saved_model.pb").unlink()
    manager.poll()
    with pytest.raises(StatusError, match=r"Specific\(m, 1\)") as error:
        manager.get("m", label="old")
    assert error.value.code == "NOT_FOUND" and not manager.refused_labels


def test_a_model_that_leaves_the_config_is_unloaded(base, write):
    find = ModelConfigFile(write(entry(base), entry(base, "n")), poll_seconds=1e-9)
    manager = ModelManager(find, lambda folder: folder.name)
    manager.poll()
    write(entry(base, "n"))
    manager.poll()
    assert manager.names() == ["n"]
    assert [(v.number, v.state) for v in manager.states("m")] == [(2, "END")]
    write(entry(base))
    manager.poll()
    assert manager.get("m") == (2, "2")


def test_a_server_does_not_start_with_a_label_of_nothing(base, write):
    find = ModelConfigFile(write(entry(base, labels=label("stable", 9))))
    with pytest.raises(TfmmError, match=r"label may only point.*version 9 of model m"):
        Server(find, rest_api_port=0, grpc_port=0).start()


def test_versions_beyond_int64_are_no_versions(tmp_path):
    for name in (str(LARGEST), str(LARGEST + 1), "0" * 30 + "5", "9" * 200, "-1"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").touch()
    assert sorted(version_folders(tmp_path)) == [5, LARGEST]
