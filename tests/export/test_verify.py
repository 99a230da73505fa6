"""Exports proven from their files, and what planted faults are called."""

import json
import shutil
import socket

import numpy as np
import pytest
import tensorflow as tf
from typer.testing import CliRunner

from tfmm.cli.app import app
from tfmm.errors import TfmmError
from tfmm.export.finish import finish
from tfmm.export.golden import FILE, read_golden, write_golden
from tfmm.export.manifest import FACTS, read_facts, write_facts
from tfmm.export.variations import padded
from tfmm.export.verify import verify, version_folder
from tfmm.export.warmup import Answered, Call
from tfmm.serving import Server


@pytest.fixture
def copy(exported, tmp_path):
    """A version that may be damaged."""
    shutil.copytree(exported[1] / "ranker" / "1", tmp_path / "ranker" / "1")
    return tmp_path / "ranker" / "1"


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def failed(findings):
    return {found.name: found.seen for found in findings if not found.ok}


def test_an_export_passes_and_says_what_was_seen(exported):
    findings = verify(exported[1] / "ranker")
    assert not failed(findings)
    seen = {found.name: found.seen for found in findings}
    assert list(seen) == [
        *("files", "graph size", "operations", "signatures", "stored once"),
        *("loads", "warm-up", "golden requests"),
        *("one by one", "other order", "more columns"),
    ]
    assert seen["signatures"] == "rank, serving_default"
    # Two signatures, asked with both requests at once, then each alone.
    assert seen["golden requests"].startswith("2 calls, largest difference")
    assert seen["one by one"].startswith("4 calls")


def test_the_manifest_says_what_it_is(exported, toy):
    facts = read_facts(exported[1] / "ranker" / "1")
    assert facts["model"] == "ranker" and facts["server"] == "2.20"
    assert facts["index"] == toy.index().stamp()
    assert facts["versions"]["tensorflow"] == tf.__version__
    assert facts["signatures"]["rank"]["inputs"]["item_id"] == "string[None, None]"
    assert facts["signatures"]["rank"]["outputs"]["score"] == "float32[None, None]"
    assert set(facts["files"]) >= {"saved_model.pb", str(FILE)}
    assert facts["golden"] == 2


def test_a_changed_file_is_found(copy):
    with (copy / "assets" / "item_ids.txt").open("a") as file:
        file.write("new\n")
    found = failed(verify(copy))
    assert "item_ids.txt" in found["files"]


def test_a_lost_table_does_not_load(copy):
    (copy / "assets" / "item_ids.txt").unlink()
    found = failed(verify(copy))
    assert set(found) == {"files", "loads"}
    assert "item_ids.txt" in found["loads"]


def test_without_a_manifest_the_other_checks_go_on(copy):
    (copy / FACTS).write_text("{")
    assert set(failed(verify(copy))) == {"files"}


def test_an_answer_that_differs_is_found_by_every_replay(copy):
    golden = list(read_golden(copy))
    wrong = golden[0].outputs["score"] + np.float32(2e-5)
    changed = Answered(golden[0].call, {**golden[0].outputs, "score": wrong})
    write_golden(copy, "ranker", [changed, *golden[1:]])
    found = failed(verify(copy))
    replays = {"golden requests", "one by one", "other order", "more columns"}
    assert set(found) == {"files", *replays}
    assert "differs from the model in memory in `score`" in found["golden requests"]


def test_a_call_that_fails_is_told(copy):
    (found,) = list(read_golden(copy))[:1]
    hours = np.array(["1", "2", "1"], object)
    call = Call("rank", {**found.call.inputs, "context_hour": hours})
    write_golden(copy, "ranker", [Answered(call, {})])
    assert "signature `rank` fails" in failed(verify(copy))["golden requests"]


def saved(folder, function, **inputs):
    """A plain SavedModel, and a call of it with what it answers."""
    module = tf.Module()
    specs = {
        name: tf.TensorSpec([None] * value.ndim, tf.as_dtype(value.dtype), name=name)
        for name, value in inputs.items()
    }
    module.run = tf.function(function, autograph=False)
    concrete = module.run.get_concrete_function(**specs)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": concrete})
    outputs = {k: v.numpy() for k, v in module.run(**inputs).items()}
    return Answered(Call("serving_default", inputs), outputs)


NUMBERS = {
    "candidate_x": np.array([[1, 2], [3, 4]], np.float32),
    "n_items": np.array([2, 1], np.int32),
}


def whole_batch(x):
    return x / tf.reduce_max(x)


def first_request(x):
    return x - x[:1]


def all_columns(x):
    return x[:, :1] + tf.reduce_sum(x, 1, True)


@pytest.mark.parametrize(
    ("function", "check"),
    [
        (lambda candidate_x, n_items: {"y": whole_batch(candidate_x)}, "one by one"),
        (lambda candidate_x, n_items: {"y": first_request(candidate_x)}, "other order"),
        (lambda candidate_x, n_items: {"y": all_columns(candidate_x)}, "more columns"),
    ],
)
def test_what_depends_on_the_batch_is_refused(tmp_path, function, check):
    found = saved(tmp_path, function, **NUMBERS)
    with pytest.raises(TfmmError, match=f"{check}: .*differs"):
        finish(tmp_path, "m", [found], [found.call], {})


def test_padding_is_junk_from_elsewhere():
    found = padded(Answered(Call("rank", NUMBERS), {}))
    assert found.call.inputs["candidate_x"].tolist() == [
        [1, 2, 3, 3, 3],
        [3, 4, 1, 1, 1],
    ]
    assert padded(Answered(Call("f", {"x": np.zeros((1, 2))}), {})) is None


def test_outputs_that_are_not_one_per_request_are_refused(tmp_path):
    def turned(x):
        return {"y": x + 1, "z": tf.ones([tf.shape(x)[0] + 1])}

    found = saved(tmp_path, turned, x=np.ones(2, np.float32))
    with pytest.raises(TfmmError, match=r"`z` of signature .* first axis of 2. Rec"):
        finish(tmp_path, "m", [Answered(found.call, {})], [], {})


def test_binary_texts_need_a_name_that_rest_encodes(tmp_path):
    def compressed(name):
        return lambda x: {name: tf.io.decode_base64(x)}

    texts = np.array([b"_w", b"YQ"], object)  # The byte 255, and "a".
    found = saved(tmp_path / "a", compressed("y"), x=texts)
    with pytest.raises(TfmmError, match=r"Rename it `y_bytes`"):
        finish(tmp_path / "a", "m", [found], [], {})
    found = saved(tmp_path / "b", compressed("y_bytes"), x=texts)
    finish(tmp_path / "b", "m", [found], [], {})


def test_a_call_with_inputs_that_the_signature_lacks_fails(copy):
    (found, *_) = read_golden(copy)
    call = Call("rank", {**found.call.inputs, "more": np.zeros(2, np.int32)})
    write_golden(copy, "ranker", [Answered(call, found.outputs)])
    assert "Sent extra: ['more']" in failed(verify(copy))["golden requests"]


def test_golden_requests_take_bounded_space(tmp_path, monkeypatch):
    from tfmm.export import golden

    given = {"x": np.arange(8000, dtype=np.float32).reshape(8, 1000)}
    found = Answered(Call("f", given), {"y": given["x"][:, :1]})
    # 8 requests of 4,000 bytes; of 10,000 bytes 2 remain, of 100 still one.
    for bytes_, rows in ((10_000, 2), (100, 1)):
        monkeypatch.setattr(golden, "MAX_BYTES", bytes_)
        assert write_golden(tmp_path, "m", [found]) == 1
        (kept,) = read_golden(tmp_path)
        np.testing.assert_array_equal(kept.call.inputs["x"], given["x"][:rows])
        np.testing.assert_array_equal(kept.outputs["y"], given["x"][:rows, :1])


def test_newer_text_operations_need_a_newer_server(tmp_path, monkeypatch):
    from tfmm.export import graph

    saved(tmp_path, lambda x: {"y": x + 1}, x=np.ones(2, np.float32))
    write_facts(tmp_path, "m", {})
    for name in ("TFText>New", "PhraseTokenize"):
        monkeypatch.setattr(graph, "operations", lambda _, name=name: {"AddV2", name})
        assert name in failed(verify(tmp_path, "2.19"))["operations"]
        assert "operations" not in failed(verify(tmp_path, "2.20"))


def test_a_folder_without_versions(tmp_path):
    with pytest.raises(TfmmError, match="no version of a model and has none"):
        version_folder(tmp_path)


def test_the_command_prints_a_table_and_fails_on_a_fault(copy):
    run = CliRunner().invoke
    found = run(app, ["verify", str(copy)])
    assert found.exit_code == 0 and "golden requests" in found.output
    (copy / "assets" / "item_ids.txt").write_text("")
    found = run(app, ["verify", str(copy), "--json"])
    assert found.exit_code == 1
    assert any(not check["ok"] for check in json.loads(found.output))


@pytest.mark.parametrize("kind", ["rest", "grpc"])
def test_replayed_against_a_server(exported, copy, kind):
    models = {"ranker": exported[1] / "ranker"}
    run = CliRunner().invoke
    with Server(models, rest_api_port=0, grpc_port=free_port()) as server:
        url = server.url if kind == "rest" else f"grpc://127.0.0.1:{server.grpc_port}"
        command = ["replay", str(copy), "--against", url]
        found = run(app, command)
        assert found.exit_code == 0, found.output
        assert found.output.count("ok") == 2 and "serving_default" in found.output
        golden = list(read_golden(copy))
        wrong = {**golden[0].outputs, "score": golden[0].outputs["score"] + 1}
        write_golden(copy, "ranker", [Answered(golden[0].call, wrong)])
        found = run(app, command)
        assert found.exit_code == 1 and "DIFFERS" in found.output
