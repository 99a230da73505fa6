import pytest

from tfmm.errors import TfmmError
from tfmm.serving.config import ModelConfig, find_models, parse_model_config
from tfmm.serving.status import StatusError
from tfmm.serving.versions import ModelManager


class Loader:
    """Loads the text of saved_model.pb; the text `broken` fails."""

    def __init__(self):
        self.loaded = []

    def __call__(self, folder):
        text = (folder / "saved_model.pb").read_text()
        self.loaded.append(folder.name)
        if text == "broken":
            raise StatusError("DATA_LOSS", "broken file")
        return text


@pytest.fixture
def load():
    return Loader()


@pytest.fixture
def manager(tmp_path, load):
    return ModelManager(lambda: find_models(tmp_path), load)


def write(base, version, text):
    folder = base / "m" / str(version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "saved_model.pb").write_text(text)
    return folder


def test_the_highest_number_is_served_and_the_old_one_dropped(tmp_path, manager, load):
    write(tmp_path, 9, "nine")
    write(tmp_path, 10, "ten")
    manager.poll()
    assert manager.get("m") == (10, "ten")
    write(tmp_path, "00000011", "eleven")
    manager.poll()
    assert manager.get("m") == (11, "eleven")
    with pytest.raises(StatusError, match=r"Specific\(m, 10\)") as error:
        manager.get("m", 10)
    assert error.value.http_code == 404
    manager.poll()
    assert load.loaded == ["10", "00000011"]


def test_half_published_folders_are_ignored(tmp_path, manager):
    write(tmp_path, 1, "one")
    write(tmp_path, ".draft-77-abc", "draft")
    write(tmp_path, "2.tmp", "draft")
    (tmp_path / "m" / "3").mkdir()
    manager.poll()
    assert manager.get("m")[0] == 1
    assert [v.number for v in manager.states("m")] == [1]


def test_a_broken_new_version_keeps_the_old_one(tmp_path, manager, load):
    write(tmp_path, 1, "one")
    manager.poll()
    write(tmp_path, 2, "broken")
    manager.poll()
    manager.poll()
    assert manager.get("m") == (1, "one")
    assert [(v.number, v.state) for v in manager.states("m")] == [
        (2, "END"),
        (1, "AVAILABLE"),
    ]
    assert manager.states("m", 2)[0].error.message == "broken file"
    assert load.loaded == ["1", "2"]  # not tried again while it stays as it is
    write(tmp_path, 2, "mended")
    manager.poll()
    assert manager.get("m") == (2, "mended")
    assert [(v.number, v.state) for v in manager.states("m")] == [
        (2, "AVAILABLE"),
        (1, "END"),
    ]


def test_deleting_a_version_rolls_back(tmp_path, manager):
    write(tmp_path, 1, "one")
    folder = write(tmp_path, 2, "two")
    manager.poll()
    (folder / "saved_model.pb").unlink()
    manager.poll()
    assert manager.get("m") == (1, "one")


def test_new_models_appear(tmp_path, manager):
    write(tmp_path, 1, "one")
    manager.poll()
    with pytest.raises(StatusError, match=r"Latest\(other\)"):
        manager.get("other")
    with pytest.raises(StatusError, match="any versions of model other"):
        manager.states("other")
    (tmp_path / "m").rename(tmp_path / "other")
    write(tmp_path, 1, "one")
    manager.poll()
    assert manager.names() == ["m", "other"]


def test_policies_and_labels(tmp_path, load):
    for number in (1, 2, 3):
        write(tmp_path, number, str(number))
    base = tmp_path / "m"
    config = ModelConfig("m", base, specific=(1, 3), labels={"stable": 1})
    manager = ModelManager(lambda: {"m": config}, load)
    manager.poll()
    assert manager.get("m")[0] == 3
    assert manager.get("m", label="stable")[0] == 1
    for model, label in (("m", "canary"), ("x", "stable")):
        with pytest.raises(StatusError, match=f"version label: {label}") as error:
            manager.get(model, label=label)
        assert error.value.http_code == 400
    assert ModelConfig("m", base, latest=0).wanted([1, 2]) == [2, 1]


def test_folders_of_models_and_of_one_model(tmp_path):
    write(tmp_path, 1, "one")
    (tmp_path / "empty").mkdir()
    assert list(find_models(tmp_path)) == ["m"]
    assert find_models(tmp_path / "m")["m"].base_path == tmp_path / "m"
    with pytest.raises(TfmmError, match=r"no folder of models. Received"):
        find_models(tmp_path / "nowhere")


CONFIG = """
model_config_list {
  config {
    name: "a" base_path: "/models/a" model_platform: "tensorflow"
    model_version_policy { specific { versions: 41 versions: 42 } }
    version_labels { key: "stable" value: 41 }
  }
  config { name: "b" base_path: "/models/b" model_version_policy { all {} } }
  config { name: "c" base_path: "/models/c" }
}
"""


def test_model_config_file(tmp_path):
    path = tmp_path / "models.config"
    path.write_text(CONFIG)
    found = parse_model_config(path)
    assert list(found) == ["a", "b", "c"]
    assert found["a"].specific == (41, 42) and found["a"].labels == {"stable": 41}
    assert (found["b"].latest, found["c"].latest) == (0, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "no such model config file"),
        ("model_config_list {", "is not a model config"),
        ('model_config_list { config { name: "a" base_path: "x" } }', "absolute"),
        (CONFIG.replace('"b"', '"a"'), "unique names"),
    ],
)
def test_bad_model_config_files(tmp_path, text, message):
    path = tmp_path / "models.config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(TfmmError, match=message):
        parse_model_config(path)
