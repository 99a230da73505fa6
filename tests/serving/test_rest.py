import json

import pytest

from tfmm.serving.config import ModelConfig
from tfmm.serving.rest import respond
from tfmm.serving.versions import ModelManager


class Doubler:
    def __init__(self, folder):
        pass

    def dtypes(self, signature):
        return {"x": "float32"}

    def run(self, signature, inputs):
        return {"y": 2 * inputs["x"]}

    def metadata(self):
        return {"serving_default": {"inputs": {}}}


@pytest.fixture
def manager(tmp_path):
    (tmp_path / "3").mkdir()
    (tmp_path / "3" / "saved_model.pb").touch()
    config = ModelConfig("a b", tmp_path, labels={"stable": 3})
    found = ModelManager(lambda: {"a b": config}, Doubler)
    found.poll()
    return found


BODY = b'{"inputs": [1, 2.5]}'


@pytest.mark.parametrize(
    "path",
    [
        "/v1/models/a%20b:predict",
        "/V1/Models/a%20b/versions/3:predict",
        "/v1/models/a%20b/versions/0003:predict",
        "/v1/models/a%20b/labels/stable:predict",
    ],
)
def test_predict_routes(manager, path):
    answer = respond(manager, "POST", path, BODY)
    assert answer.code == 200 and answer.content_type == "application/json"
    assert json.loads(answer.body) == {"outputs": [2.0, 5.0]}


def test_rows_are_answered_in_rows(manager):
    answer = respond(manager, "POST", "/v1/models/a%20b:predict", b'{"instances": [1]}')
    assert json.loads(answer.body) == {"predictions": [2.0]}


def test_status_and_metadata(manager):
    for path in ("/v1/models/a%20b", "/v1/models/a%20b/versions/3"):
        answer = respond(manager, "GET", path, b"")
        assert json.loads(answer.body) == {
            "model_version_status": [
                {
                    "version": "3",
                    "state": "AVAILABLE",
                    "status": {"error_code": "OK", "error_message": ""},
                }
            ]
        }
    # As in TF Serving, status does not look at labels.
    assert respond(manager, "GET", "/v1/models/a%20b/labels/none", b"").code == 200
    answer = respond(manager, "GET", "/v1/models/a%20b/metadata", b"")
    assert json.loads(answer.body) == {
        "model_spec": {"name": "a b", "signature_name": "", "version": "3"},
        "metadata": {
            "signature_def": {"signature_def": {"serving_default": {"inputs": {}}}}
        },
    }


@pytest.mark.parametrize(
    ("method", "path", "code", "message"),
    [
        ("GET", "/v1/models", 400, "Missing model name in request."),
        ("GET", "/v1/models/x", 404, "any versions of model x"),
        ("GET", "/v1/models/a%20b/versions/4", 404, "version 4 of model"),
        ("GET", "/v1/models/x/metadata", 404, "Servable not found"),
        ("GET", "/v1/models/a%20b/labels/z/metadata", 400, "version label: z"),
        ("GET", "/v1/models/a%20b?x=1", 404, "any versions of model a b?x=1"),
        ("GET", "/v1/nothing", 400, "Malformed request: GET /v1/nothing"),
        ("GET", "/v1/models/a%20b:predict", 400, "Malformed request"),
        ("POST", "/v1/models/a%20b", 400, "Malformed request"),
        ("POST", "/v1/models/a%20b:Predict", 400, "Malformed request"),
        ("POST", "/v1/models/a%20b:predict?x=1", 400, "Malformed request"),
        ("POST", "/v1/models/a%20b/versions/x:predict", 400, "Malformed request"),
        ("POST", "/v1/models/a%20b/versions/3/labels/stable:predict", 400, "Malf"),
        ("POST", f"/v1/models/a%20b/versions/{2**63}:predict", 400, "Failed to conv"),
        ("POST", "/v1/models/x:predict", 404, "Servable not found for request: Latest"),
        ("POST", "/v1/models/a%20b/versions/9:predict", 404, r"Specific(a b, 9)"),
        ("POST", "/v1/models/a%20b/labels/z:predict", 400, "version label: z"),
        ("POST", "/v1/models/a%20b:classify", 501, "classify"),
        ("DELETE", "/v1/models/a%20b", 400, "Malformed request: DELETE"),
    ],
)
def test_refused_routes(manager, method, path, code, message):
    answer = respond(manager, method, path, BODY)
    assert answer.code == code
    assert message in json.loads(answer.body)["error"]


def test_elsewhere_is_not_found(manager):
    answer = respond(manager, "GET", "/<x>", b"")
    assert (answer.code, answer.content_type) == (404, "text/html")
    assert b"<x>" not in answer.body


def test_a_scalar_is_answered_in_columns(manager):
    answer = respond(manager, "POST", "/v1/models/a%20b:predict", b'{"inputs": 3}')
    assert answer.body == b'{"outputs": 6.0}'
