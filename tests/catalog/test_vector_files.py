import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tfmm.catalog import Catalog
from tfmm.catalog.vector_files import read_vectors
from tfmm.errors import TfmmError

MATRIX = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], np.float32)


def parquet(path, **columns):
    pq.write_table(pa.table(columns), path)
    return path


def test_npy_paths(tmp_path):
    np.save(tmp_path / "v.npy", MATRIX)
    np.save(tmp_path / "ids.npy", np.array([7, 8]))
    ids, kind, matrix = read_vectors(tmp_path / "ids.npy", tmp_path / "v.npy")
    assert (ids, kind) == (["7", "8"], "int64")
    np.testing.assert_array_equal(matrix, MATRIX)


@pytest.mark.parametrize(
    "kind",
    [
        pa.list_(pa.float32()),
        pa.list_(pa.float32(), 3),
        pa.large_list(pa.float64()),
        pa.list_(pa.int8()),
        pa.list_(pa.float16()),
    ],
)
def test_parquet_list_columns(tmp_path, kind):
    values = pa.array(MATRIX.astype(int).tolist()).cast(pa.list_(pa.int8())).cast(kind)
    path = parquet(tmp_path / "v.parquet", item_id=["b", "a"], embedding=values)
    ids, id_type, matrix = read_vectors(None, path)
    assert (ids, id_type) == (["b", "a"], "string")
    np.testing.assert_array_equal(matrix, MATRIX)
    catalog = Catalog.from_vectors("item_id", str(path), name="n", version="1")
    assert catalog.counts["written"] == 2


def test_parquet_columns_by_name_and_ids_beside_it(tmp_path):
    path = parquet(
        tmp_path / "v.parquet",
        id=[1, 2],
        other=["x", "y"],
        small=MATRIX[:, :1].tolist(),
        large=MATRIX.tolist(),
    )
    assert read_vectors("other", path, "small")[0] == ["x", "y"]
    assert read_vectors(["p", "q"], path, "large")[2].shape == (2, 3)
    with pytest.raises(TfmmError, match=r"\['small', 'large'\]"):
        read_vectors("id", path)
    with pytest.raises(TfmmError, match=r"\['id', 'other'\]"):
        read_vectors(None, path, "small")
    with pytest.raises(TfmmError, match="no column 'nope'"):
        read_vectors("nope", path, "small")
    with pytest.raises(TfmmError, match="must hold a list"):
        read_vectors("id", path, "other")


@pytest.mark.parametrize(
    ("ids", "matrix", "message"),
    [
        (None, MATRIX, "ids=None"),
        (["a"], MATRIX, "1 ids and 2 vectors"),
        (["a", "a"], MATRIX, "1 repeated ids, 'a'"),
        (["a", None], MATRIX, "1 null ids"),
        ([1.5, 2.5], MATRIX, "integers or text"),
        (["a", "b"], MATRIX[0], "one vector per row"),
        (["a", "b"], "v.csv", "Convert the file"),
        (["a", "b"], "gone.npy", "cannot be read"),
        (None, "gone.parquet", "no file"),
    ],
)
def test_bad_input(ids, matrix, message):
    with pytest.raises(TfmmError, match=message):
        read_vectors(ids, matrix)


def test_bad_files(tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"not parquet at all")
    with pytest.raises(TfmmError, match="not a Parquet file"):
        read_vectors(None, tmp_path / "bad.parquet")
    np.save(tmp_path / "o.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(TfmmError, match="cannot be read"):
        read_vectors(["a"], tmp_path / "o.npy")
    ragged = parquet(tmp_path / "r.parquet", id=["a", "b"], v=[[1.0], [1.0, 2.0]])
    with pytest.raises(TfmmError, match=r"lengths \[1, 2\]"):
        read_vectors(None, ragged)
    holes = parquet(tmp_path / "h.parquet", id=["a"], v=[[1.0, None]])
    with pytest.raises(TfmmError, match="1 nulls"):
        read_vectors(None, holes)


def test_no_usable_vector_says_what_was_dropped():
    with pytest.raises(TfmmError, match="'zero_vector': 2"):
        Catalog.from_vectors(["a", "b"], np.zeros((2, 3)), name="n", version="1")
