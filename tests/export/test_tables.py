"""Tables that stay small: in the files, in the graph and in a server's memory."""

import json
from dataclasses import replace

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.catalog import Catalog
from tfmm.errors import TfmmError
from tfmm.export import export_ranker
from tfmm.export.border import to_batch
from tfmm.export.c_api import LoadedAsServer, run_as_server
from tfmm.export.graph import read_graph
from tfmm.export.manifest import read_facts
from tfmm.export.warmup import Call
from tfmm.layers import FrozenVectors, rounded_tables, unit_vectors
from tfmm.ranking import RankingModel
from tfmm.records.vocabularies import ItemTable, Vocabularies

ROWS, DIM, VECTOR = 3001, 16, 32  # A prime of rows: no other tensor has it.


@pytest.fixture(scope="module")
def parts(toy):
    """Index, vocabularies and a ranker of 3,001 items with vectors and embeddings."""
    keras.utils.set_random_seed(2)
    index = toy.index().extend([f"i{n:05d}" for n in range(ROWS - 8)])
    spec = replace(toy.SPEC, rows=ROWS, items=ROWS)
    items = ItemTable(
        np.arange(ROWS, dtype=np.int32),
        np.zeros((ROWS, 0), np.int32),
        np.zeros((ROWS, 0), np.float32),
        np.ones(ROWS, np.int64),
    )
    vocabularies = Vocabularies(toy.VALUES, items, spec, index.stamp())
    vectors = np.random.default_rng(0).normal(size=(ROWS - 2, VECTOR))
    catalog = Catalog.from_vectors(
        index.ids, vectors.astype(np.float32), name="v", version="1", index=index
    )
    ranker = RankingModel(
        vocabularies,
        catalog,
        ["din", "simtier"],
        embedding_dim=DIM,
        hidden=(8, 4),
    )
    return index, vocabularies, ranker


def exported(toy, parts, base, tables):
    index, vocabularies, ranker = parts
    request = toy.request()
    return export_ranker(ranker, base, index, vocabularies, request, tables=tables)


def scores(toy, parts):
    index, vocabularies, ranker = parts
    batch = to_batch(toy.request(), vocabularies.spec, index, vocabularies)
    return 1 / (1 + np.exp(-np.asarray(ranker(batch), np.float64)))


def variables(folder):
    """(dtype, shape) of the variables, and the largest constant of any function."""
    graph = read_graph(folder).graph_def
    found = [
        (
            tf.as_dtype(node.attr["dtype"].type).name,
            tuple(d.size for d in node.attr["shape"].shape.dim),
        )
        for node in graph.node
        if node.op == "VarHandleOp"
    ]
    nodes = [*graph.node, *(n for f in graph.library.function for n in f.node_def)]
    constants = [
        np.prod([d.size for d in n.attr["value"].tensor.tensor_shape.dim], initial=1)
        for n in nodes
        if n.op == "Const"
    ]
    return found, max(constants)


@pytest.mark.parametrize("tables", ["float32", "float16", "int8"])
def test_the_served_ranker_is_the_rounded_one(toy, parts, tmp_path, tables):
    before = scores(toy, parts)
    weights = parts[2].get_weights()
    folder = exported(toy, parts, tmp_path, tables)  # Compares to 1e-5.
    (answer,) = run_as_server(folder, [Call("rank", toy.request())])
    with rounded_tables(parts[2], tables):
        rounded = scores(toy, parts)
    assert abs(answer["score"][0] - rounded[0]).max() < 1e-6
    off = abs(rounded - before).max()
    assert off == 0 if tables == "float32" else 0 < off < 1e-2
    np.testing.assert_array_equal(scores(toy, parts), before)
    for left, right in zip(parts[2].get_weights(), weights, strict=True):
        np.testing.assert_array_equal(left, right)
    found, largest_constant = variables(folder)
    assert found.count((tables, (ROWS, DIM))) == 1
    assert found.count(("int8", (ROWS, VECTOR))) == 1  # The catalog's.
    tall = [kind for kind, shape in found if shape in {(ROWS, DIM), (ROWS, VECTOR)}]
    assert sorted(tall) == sorted([tables, "int8"])
    assert largest_constant < 100
    facts = read_facts(folder)
    assert facts["tables"] == tables
    stored = sum(facts["variables"].values())
    assert facts["bytes"]["variables"] < 1.1 * stored + 20_000
    taken = {"float32": 4, "float16": 2, "int8": 1}[tables] * ROWS * DIM
    taken += ROWS * VECTOR if tables == "int8" else 0
    # Beside them tables of a handful of codes, and the catalog's float32 norms.
    assert taken <= facts["variables"][tables] < taken + 30_000


def test_foreign_tables_cannot_be_rounded(toy, exported, tmp_path):
    ranker = exported[0]
    arguments = ranker, tmp_path, toy.index(), toy.VOCABULARIES, toy.request()
    with pytest.raises(TfmmError, match="no embedding table that could be rounded"):
        export_ranker(*arguments, tables="int8")
    assert not list(tmp_path.iterdir())


def test_int8_vectors_take_a_byte_a_number_in_memory(tmp_path):
    rows, dimension = 700_000, 64
    table = FrozenVectors(rows, dimension)
    codes = np.random.default_rng(0).integers(-127, 128, (rows, dimension), np.int8)
    table.assign(codes, np.full(rows, 0.01, np.float32), np.ones(rows, bool))
    module = tf.Module()
    module.variables_ = [v.value for v in table.weights]

    @tf.function(input_signature=[tf.TensorSpec([None], tf.int32, "rows")])
    def look_up(rows):
        return {"vectors": unit_vectors(table(rows))}

    tf.saved_model.save(module, str(tmp_path), {"serving_default": look_up})
    call = Call("serving_default", {"rows": np.array([0, rows - 1], np.int32)})
    with LoadedAsServer(tmp_path) as model:
        for _ in range(3):
            found = model.run(call)["vectors"]
        if model.peak_bytes is None:
            pytest.skip("this system does not say what a process holds")
        taken = model.peak_bytes - model.before_bytes
    np.testing.assert_allclose(found, codes[[0, -1]] * 0.01, rtol=1e-6)
    # 45 MB of codes and 3.5 MB beside them; a float32 copy would take 179 MB more.
    assert taken < 2 * codes.nbytes
    print(json.dumps({"taken": taken, "codes": codes.nbytes}))
