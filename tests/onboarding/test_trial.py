import io
import os
import pathlib

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tfmm.datasets.marketplace import MarketplaceConfig, generate
from tfmm.datasets.marketplace_world import make_items
from tfmm.errors import TfmmError
from tfmm.evaluation import GainTable
from tfmm.onboarding.trial import try_vectors
from tfmm.onboarding.trial_data import key_file, prepare
from tfmm.onboarding.trial_schema import trial_schema


@pytest.fixture(scope="module")
def size():
    return MarketplaceConfig.of_size("smoke", users=120)


@pytest.fixture(scope="module")
def shop(tmp_path_factory, size):
    return generate(tmp_path_factory.mktemp("try") / "shop", size)


@pytest.fixture(scope="module")
def vectors(shop, size):
    """One-hot rows of the true attributes."""
    items = make_items(size)
    columns = [np.eye(a.max() + 1)[a] for a in items.attributes.T]
    matrix = np.concatenate(columns, axis=1).astype(np.float32)
    path = shop.parent / "v.parquet"
    pq.write_table(pa.table({"item_id": items.ids, "vector": list(matrix)}), path)
    return path


@pytest.fixture
def no_key(monkeypatch):
    monkeypatch.delenv("TFMM_USER_KEY", raising=False)


@pytest.mark.slow
def test_prints_both_rows_and_resumes(shop, vectors, tmp_path, no_key):
    log, out = shop / "impressions.parquet", tmp_path / "out"
    text = io.StringIO()
    console = Console(file=text, width=120)
    found = try_vectors(vectors, log, out=out, console=console)
    assert [row.name for row in found.table.rows] == ["id_only", "simtier"]
    assert GainTable.open(out / "gain.json") == found.table
    assert found.coverage.candidates == 1.0
    assert "have vectors" in text.getvalue()
    assert "hashed with one made up" in text.getvalue()
    assert "split global_time" in " ".join(text.getvalue().split())
    done = {p: p.stat().st_mtime_ns for p in out.rglob("manifest.json")}
    schema, _ = trial_schema(log, None, {})
    said: list[str] = []
    prepare(schema, out, said.append)
    assert said == ["jobs: done already"]
    assert done == {p: p.stat().st_mtime_ns for p in out.rglob("manifest.json")}
    users = set(pq.read_table(log, columns=["user_id"])["user_id"].to_pylist())
    everything = b"".join(p.read_bytes() for p in out.rglob("*") if p.is_file())
    assert not [user for user in users if user.encode() in everything]


@pytest.mark.slow
def test_takes_a_schema_and_a_matrix_with_ids(shop, vectors, tmp_path, no_key):
    table = pq.read_table(vectors).slice(0, 200)
    np.save(tmp_path / "v.npy", np.stack(table["vector"].to_numpy()))
    (tmp_path / "ids.txt").write_text("\n".join(table["item_id"].to_pylist()))
    found = try_vectors(
        tmp_path / "v.npy",
        schema=shop / "schema.yaml",
        ids=tmp_path / "ids.txt",
        console=Console(quiet=True),
    )
    assert found.coverage.items <= 200
    assert 0 < found.coverage.candidates < 1
    assert found.table["simtier"].new is not None


def test_missing_roles_name_their_options(shop, vectors, tmp_path, no_key):
    log = pq.read_table(shop / "impressions.parquet").drop_columns("click")
    pq.write_table(log, tmp_path / "log.parquet")
    with pytest.raises(TfmmError, match="--label: a column of 0 and 1"):
        try_vectors(vectors, tmp_path / "log.parquet", console=Console(quiet=True))
    with pytest.raises(TfmmError, match="no column for the role `user`"):
        try_vectors(vectors, shop / "impressions.parquet", user="nobody")


@pytest.mark.parametrize(
    ("vectors_file", "more", "message"),
    [
        ("gone.parquet", {}, "no file"),
        (None, {}, "needs the impressions"),
        (None, {"schema": "schema.yaml", "user": "u"}, "not from both"),
    ],
)
def test_bad_arguments(shop, vectors, vectors_file, more, message, no_key):
    if "schema" in more:
        more = {**more, "schema": shop / more["schema"]}
    with pytest.raises(TfmmError, match=message):
        try_vectors(vectors_file or vectors, **more, console=Console(quiet=True))


def test_a_folder_of_other_files_is_left_alone(shop, vectors, tmp_path, no_key):
    (tmp_path / "precious").write_text("mine")
    with pytest.raises(TfmmError, match="holds other files"):
        try_vectors(
            vectors,
            shop / "impressions.parquet",
            out=tmp_path,
            console=Console(quiet=True),
        )


def test_the_key_is_private_and_gone_afterwards(no_key):
    with key_file() as path:
        assert oct(os.stat(path).st_mode & 0o777) == "0o600"
        assert len(pathlib.Path(path).read_text()) == 64
    assert not os.path.exists(path)
    assert "TFMM_USER_KEY" not in os.environ


def test_a_configured_key_is_used(monkeypatch):
    monkeypatch.setenv("TFMM_USER_KEY", "x" * 16)
    with key_file() as path:
        assert path is None
    monkeypatch.setenv("TFMM_USER_KEY", "short")
    with pytest.raises(TfmmError, match="at least 16"), key_file():
        pass
