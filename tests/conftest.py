"""Shops that many tests share, each built once a session."""

import os
import signal
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
sys.path.insert(0, str(Path(__file__).parent))

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shop

# Imported a second time under another name, it would give two systems of one scheme.
collect_ignore = ["shelf.py"]


@pytest.fixture
def shelved(tmp_path, monkeypatch):
    """Room for the file systems of `shelf.py`, in worker processes too."""
    import shelf  # noqa: F401  (Beam finds them then.)

    room = tmp_path / "shelf"
    room.mkdir()
    monkeypatch.setenv("SHELF", str(room))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent), prepend=os.pathsep)
    return room


@pytest.fixture(scope="session", autouse=True)
def ctrl_c_is_heeded():
    """Python ignores Ctrl-C when a shell starts it in the background."""
    before = signal.getsignal(signal.SIGINT)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session")
def hand_made(tmp_path_factory):
    """(schema path, output folder, manifests) of the shop in `shop.py`."""
    base = tmp_path_factory.mktemp("hand_made")
    schema = shop.write(base / "shop")
    return schema, base / "out", shop.build(schema, base / "out")


@pytest.fixture(scope="session")
def simulated(tmp_path_factory):
    """The same of a small simulated marketplace with planted users and searches."""
    from tfmm.datasets.marketplace import MarketplaceConfig, generate

    base = tmp_path_factory.mktemp("simulated")
    config = MarketplaceConfig.of_size("smoke", users=40, searches=60, items=80)
    folder = generate(base / "shop", config)
    users, queries = shop.PLANTED_USER, shop.PLANTED_QUERY
    _plant(folder / "users.parquet", "user_id", users)
    _plant(folder / "impressions.parquet", "user_id", users, "click", 7)
    _plant(folder / "events.parquet", "user_id", users, "time", None)
    _plant(folder / "searches.parquet", "query_text", queries, "bought_item", None)
    schema = folder / "schema.yaml"
    return schema, base / "out", shop.build(schema, base / "out")


def _plant(path, column, planted, spoiled=None, by=None):
    """Marks a column's texts; spoils a value, so that there is a dead letter."""
    table = pq.read_table(path)
    values = [planted + str(x) if x else None for x in table[column].to_pylist()]
    table = _with(table, column, pa.array(values, pa.string()))
    if spoiled:
        values = table[spoiled].to_pylist()
        values[10] = by
        table = _with(table, spoiled, pa.array(values, table[spoiled].type))
    pq.write_table(table, path, row_group_size=500)


def _with(table, column, values):
    return table.set_column(table.column_names.index(column), column, values)
