import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.export import export_item_encoder, export_ranker
from tfmm.export.border import to_batch
from tfmm.export.c_api import run_as_server
from tfmm.export.publish import versions
from tfmm.export.warmup import Call, read_warmup
from tfmm.serving.config import parse_model_config


def in_memory(toy, ranker, request):
    batch = to_batch(request, toy.SPEC, toy.index(), toy.VOCABULARIES)
    logits = np.asarray(ranker(batch))[:, : request["item_id"].shape[1]]
    valid = np.arange(logits.shape[1]) < request["n_items"][:, None]
    return np.where(valid, 1 / (1 + np.exp(-logits)), 0)


@pytest.fixture(scope="session")
def served(exported):
    """Runs one request through `tf.saved_model.load`."""
    model = tf.saved_model.load(str(exported[1] / "ranker" / "1"))
    rank = model.signatures["rank"]

    def run(request):
        given = rank.structured_input_signature[1]
        tensors = {k: tf.constant(v, given[k].dtype) for k, v in request.items()}
        return {name: value.numpy() for name, value in rank(**tensors).items()}

    return run


def test_scores_equal_the_model_in_memory(toy, exported, served):
    result = served(toy.request())
    expected = in_memory(toy, exported[0], toy.request())
    np.testing.assert_allclose(result["score"], expected, atol=1e-5)
    assert result["item_id"].tolist() == [[b"a", b"d", b"zzz"], [b"e", b"b", b"a"]]
    # Row 5 ("d") and the unknown row 1 have no vectors; beyond n_items all is False.
    assert result["known"].tolist() == [[True, False, False], [True, False, False]]
    assert result["score"][1, 1:].tolist() == [0, 0]


def test_the_servers_loader_gives_the_same(toy, exported, served):
    calls = [Call("rank", toy.request()), Call("serving_default", toy.request())]
    for result in run_as_server(exported[1] / "ranker" / "1", calls):
        for name, value in served(toy.request()).items():
            np.testing.assert_array_equal(result[name], value)


def test_row_form_sample_gives_the_same_export(toy, exported, served, tmp_path):
    batch = {**toy.batch(), "user_key": np.array([22, 99], np.int64)}
    folder = export_ranker(
        exported[0], tmp_path, toy.index(), toy.VOCABULARIES, batch, version=7
    )
    assert folder == tmp_path / "ranker" / "7"
    (result,) = run_as_server(folder, [Call("rank", toy.request())])
    np.testing.assert_array_equal(result["score"], served(toy.request())["score"])


def pad(values, width):
    extra = [(0, 0), (0, width)]
    fill = "d" if values.dtype == object else 77
    return np.pad(values, extra, constant_values=fill)


def test_padding_and_batch_never_change_a_score(toy, served):
    request = toy.request()
    expected = served(request)["score"]
    wide = {k: pad(v, 3) if v.ndim == 2 else v for k, v in request.items()}
    np.testing.assert_allclose(served(wide)["score"][:, :3], expected, atol=1e-6)
    assert not served(wide)["score"][:, 3:].any()
    for row in (0, 1):
        one = {k: v[row : row + 1] for k, v in request.items()}
        np.testing.assert_allclose(served(one)["score"][0], expected[row], atol=1e-6)
    turned = {k: v[::-1] for k, v in request.items()}
    np.testing.assert_allclose(served(turned)["score"][::-1], expected, atol=1e-6)


def test_a_long_history_keeps_its_newest(toy, exported, served):
    request = {k: v[:1] for k, v in toy.request().items()}
    request["history_item_id"] = np.array([list("abcdef")], object)
    request["history_type"] = np.array([["click", "order"] * 3], object)
    request["n_history"] = np.array([6], np.int32)
    newest = {
        **request,
        "history_item_id": request["history_item_id"][:, 2:],
        "history_type": request["history_type"][:, 2:],
        "n_history": np.array([4], np.int32),
    }
    np.testing.assert_array_equal(served(request)["score"], served(newest)["score"])
    expected = in_memory(toy, exported[0], request)
    np.testing.assert_allclose(served(request)["score"], expected, atol=1e-5)


def test_nan_is_a_missing_number(toy, served):
    request, zero = toy.request(), toy.request()
    request["context_delay"] = np.array([np.nan, -1], np.float32)
    request["candidate_price"][0, 1] = np.nan
    zero["context_delay"] = np.array([0, -1], np.float32)
    zero["candidate_price"][0, 1] = 0
    np.testing.assert_array_equal(served(request)["score"], served(zero)["score"])


def test_empty_vocabularies_are_served(toy, exported, tmp_path):
    empty = SimpleNamespace(values={name: [] for name in toy.VALUES})
    folder = export_ranker(exported[0], tmp_path, toy.index(), empty, toy.request())
    calls = [Call("rank", toy.request())]
    assert np.isfinite(run_as_server(folder, calls)[0]["score"]).all()


@pytest.mark.parametrize("count", [0, 1])
def test_few_candidates_and_no_history_axis(toy, exported, served, count):
    request = {k: v[:1] for k, v in toy.request().items()}
    for name in ("item_id", "candidate_color", "candidate_price"):
        request[name] = request[name][:, :count]
    request["n_items"] = np.array([count], np.int32)
    for name in ("history_item_id", "history_type"):
        request[name] = np.zeros((1, 0), object)
    request["n_history"] = np.array([0], np.int32)
    result = served(request)
    assert result.pop("history_known").tolist() == [0]
    assert {k: v.shape for k, v in result.items()} == dict.fromkeys(result, (1, count))
    expected = in_memory(toy, exported[0], request)
    np.testing.assert_allclose(result["score"], expected, atol=1e-5)


def test_counts_beyond_the_axis_or_below_zero_are_clipped(toy, served):
    request = toy.request()
    high = served({**request, "n_items": np.array([99, 1], np.int32)})
    np.testing.assert_array_equal(high["score"], served(request)["score"])
    none = served({**request, "n_items": np.array([-1, 0], np.int32)})
    assert not none["score"].any() and not none["known"].any()


def test_int64_ids(toy, exported, tmp_path):
    folder = export_ranker(
        exported[0],
        tmp_path,
        toy.index("int64"),
        toy.VOCABULARIES,
        toy.request("int64"),
    )
    (result,) = run_as_server(folder, [Call("rank", toy.request("int64"))])
    assert result["item_id"].dtype == np.int64
    expected = in_memory(toy, exported[0], toy.request())
    np.testing.assert_allclose(result["score"], expected, atol=1e-5)


def test_no_event_types_means_no_history_type(toy, tmp_path):
    spec = replace(toy.SPEC, event_types=())
    ranker = toy.ToyRanker(spec)
    ranker(toy.batch() | {"history_type": np.zeros((2, 3), np.int32)})
    request = toy.request()
    del request["history_type"]
    folder = export_ranker(
        ranker, tmp_path, toy.index(), toy.VOCABULARIES, request, metadata={"auc": 0.5}
    )
    facts = json.loads((folder / "assets.extra" / "tfmm.json").read_text())
    assert facts["auc"] == 0.5
    assert facts["index"] == toy.index().stamp()
    assert facts["spec"]["event_types"] == []
    assert facts["versions"]["tensorflow"] == tf.__version__


def test_exported_twice_counts_up_and_is_listed(toy, exported, tmp_path):
    arguments = (exported[0], tmp_path, toy.index(), toy.VOCABULARIES, toy.request())
    export_ranker(*arguments)
    export_ranker(*arguments)
    assert versions(tmp_path / "ranker") == [1, 2]
    configs = parse_model_config(tmp_path / "models.config")
    assert configs["ranker"].base_path == tmp_path / "ranker"
    names = {path.name for path in (tmp_path / "ranker").iterdir()}
    assert names == {"1", "2"}


def test_warmup_has_both_signatures_and_several_counts(exported):
    calls = list(read_warmup(exported[1] / "ranker" / "1"))
    shapes = {(c.signature, c.inputs["item_id"].shape) for c in calls}
    assert shapes == {
        (name, shape)
        for name in ("rank", "serving_default")
        for shape in [(2, 3), (1, 1), (1, 3), (1, 5)]
    }


def test_tables_are_stored_once_and_not_in_the_graph(toy, tmp_path):
    rows = 2000
    index = toy.index().extend([f"i{n:05d}" for n in range(rows - 8)])
    ranker = toy.ToyRanker(replace(toy.SPEC, rows=rows), dimension=128)
    ranker(toy.batch())
    folder = export_ranker(ranker, tmp_path, index, toy.VOCABULARIES, toy.request())
    graph = (folder / "saved_model.pb").read_bytes()
    table = ranker.table.numpy()
    assert table[100].tobytes() not in graph
    assert b"i00500" not in graph and b"/tmp" not in graph
    assert len(graph) < table.nbytes
    data = (folder / "variables" / "variables.data-00000-of-00001").read_bytes()
    assert data.count(table[100].tobytes()) == 1
    assert len(data) < 1.1 * sum(v.numpy().nbytes for v in ranker.weights)


def test_an_export_that_differs_is_not_published(toy, exported, tmp_path):
    ranker = exported[0]
    batch = {**toy.batch(), "user_key": np.array([11, 99], np.int64)}
    # The sample says user code 3, its key says code 2.
    with pytest.raises(TfmmError, match=r"differs from the model in memory in `score`"):
        export_ranker(ranker, tmp_path, toy.index(), toy.VOCABULARIES, batch)
    assert list((tmp_path / "ranker").iterdir()) == []


def test_another_index_is_refused(toy, exported, tmp_path):
    index = toy.index().extend(["new"])
    with pytest.raises(TfmmError, match=r"Expected: 8 rows. Received: an index of 9"):
        export_ranker(exported[0], tmp_path, index, toy.VOCABULARIES, toy.request())


def test_a_line_break_in_an_id_is_refused(toy, exported, tmp_path):
    ids = [*toy.IDS[:-1], "two\nlines"]
    index = type(toy.index()).create(ids)
    with pytest.raises(TfmmError, match=r"line break.*Received: 'two\\nlines'"):
        export_ranker(exported[0], tmp_path, index, toy.VOCABULARIES, toy.request())


class Encoder(tf.Module):
    def __init__(self):
        super().__init__()
        self.weight = tf.Variable([[1.0], [2.0], [4.0]])

    @tf.function(
        input_signature=[
            tf.TensorSpec([None], tf.string, name="image_bytes"),
            tf.TensorSpec([None], tf.string, name="title"),
        ]
    )
    def encode_item(self, image_bytes, title):
        def decode(data):
            image = tf.io.decode_image(data, 3, tf.float32, expand_animations=False)
            return tf.reduce_mean(image, [0, 1])

        color = tf.map_fn(decode, image_bytes, fn_output_signature=tf.float32)
        color = tf.ensure_shape(color, [None, 3])
        length = tf.cast(tf.strings.length(title), tf.float32)
        return {"image": color @ self.weight, "text": length[:, None]}


def test_item_encoder_is_published_from_its_folder(tmp_path):
    module = Encoder()
    signatures = {"encode_item": module.encode_item}
    tf.saved_model.save(module, str(tmp_path / "written"), signatures)
    base = tmp_path / "saved_models"
    folder = export_item_encoder(tmp_path / "written", base, metadata={"encoder": "e"})
    assert folder == base / "item_encoder" / "1"
    (call,) = read_warmup(folder)
    (result,) = run_as_server(folder, [call])
    assert result["text"].tolist() == [[11.0]]  # "a red shirt"
    assert not (tmp_path / "written" / "assets.extra" / "tfmm.json").exists()


def test_another_folder_is_no_item_encoder(exported, tmp_path):
    with pytest.raises(TfmmError, match="no SavedModel"):
        export_item_encoder(tmp_path, tmp_path / "base")
    with pytest.raises(TfmmError, match=r"signature encode_item. Received: .'rank'"):
        export_item_encoder(exported[1] / "ranker" / "1", tmp_path / "base")
    assert list((tmp_path / "base" / "item_encoder").iterdir()) == []
