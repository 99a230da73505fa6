import json
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from rich.console import Console

from tfmm.datasets.marketplace import MarketplaceConfig, generate
from tfmm.errors import TfmmError
from tfmm.onboarding.init import init
from tfmm.schema import Schema

TABLES = ("items", "impressions", "events", "searches", "users")
CAMEL = {
    "user_id": "userId",
    "item_id": "productId",
    "time": "eventTime",
    "click": "isClicked",
    "request_id": "impressionId",
    "position": "rank",
    "base_score": "pCTR",
    "type": "eventType",
    "title": "productName",
    "image": "photo",
    "query_text": "searchTerm",
    "query_image": "queryImage",
    "bought_item": "purchasedItem",
    "clicked_items": "clickedItems",
}
SHORT = {
    "user_id": "uid",
    "item_id": "sku",
    "time": "ts",
    "click": "label",
    "request_id": "session_id",
    "position": "slot",
    "base_score": "score",
    "type": "action",
    "title": "name",
    "image": "img",
    "query_text": "query",
    "query_image": "search_image",
    "bought_item": "bought",
    "clicked_items": "clicked",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    size = MarketplaceConfig.of_size("smoke", users=60, searches=80, items=120)
    return generate(tmp_path_factory.mktemp("init") / "shop", size)


@pytest.fixture
def quiet():
    return Console(quiet=True)


def _rename(shop, folder, names, suffix=".parquet", file_names=None):
    folder.mkdir()
    for table in TABLES:
        found = pq.read_table(shop / f"{table}.parquet")
        found = found.rename_columns([names.get(n, n) for n in found.column_names])
        file = folder / f"{(file_names or {}).get(table, table)}{suffix}"
        if suffix == ".parquet":
            pq.write_table(found, file)
            continue
        for i, field in reversed(list(enumerate(found.schema))):
            if pa.types.is_binary(field.type):
                found = found.remove_column(i)
            elif pa.types.is_list(field.type):
                joined = ["|".join(v) for v in found[field.name].to_pylist()]
                found = found.set_column(i, field.name, pa.array(joined))
        pyarrow.csv.write_csv(found, file)
    return folder


@pytest.mark.parametrize("names", [{}, CAMEL, SHORT], ids=["plain", "camel", "short"])
def test_guesses_every_role_of_the_marketplace(shop, tmp_path, names, quiet):
    folder = _rename(shop, tmp_path / "shop", names)
    init([folder], folder / "shop.yaml", quiet)
    found = Schema.from_yaml(folder / "shop.yaml")
    expected = Schema.from_yaml(shop / "schema.yaml")
    for table in TABLES:
        roles = {
            role: names.get(column, column)
            for role, (column, _, _) in getattr(expected, table).columns().items()
        }
        mine = getattr(found, table).columns()
        assert {r.split(":")[0]: c for r, (c, _, _) in mine.items()} == {
            r.split(":")[0]: c for r, c in roles.items()
        }
    assert found.time_unit == "s"
    assert found.requests.max_items == expected.requests.max_items


def test_guesses_csv_under_other_file_names(shop, tmp_path, quiet):
    other = {"items": "catalog", "impressions": "log", "events": "behaviour"}
    folder = _rename(shop, tmp_path / "shop", CAMEL, ".csv", other)
    report = init(sorted(folder.iterdir()), tmp_path / "my.yaml", quiet)
    found = Schema.from_yaml(tmp_path / "my.yaml")
    assert found.items.files == "shop/catalog.csv"
    assert found.events.type == "eventType"
    assert found.searches.query_text == "searchTerm"
    expected = pq.read_table(shop / "impressions.parquet")
    assert report.rows["impressions"] == expected.num_rows
    assert report.label_rate == {"isClicked": np.mean(expected["click"].to_numpy())}


@pytest.mark.parametrize(("unit", "factor"), [("s", 1), ("ms", 1000), ("us", 10**6)])
def test_guesses_the_unit_of_times(tmp_path, unit, factor, quiet):
    pq.write_table(_log(factor), tmp_path / "log.parquet")
    init([tmp_path], tmp_path / "shop.yaml", quiet)
    assert Schema.from_yaml(tmp_path / "shop.yaml").time_unit == unit


def test_guesses_by_values_where_names_say_nothing(shop, tmp_path, quiet):
    names = {"item_id": "ref", "click": "z", "time": "q7", "image": "blob"}
    folder = tmp_path / "shop"
    folder.mkdir()
    items = pq.read_table(shop / "items.parquet").rename_columns(
        ["id", "title", "blob", "category", "brand", "price"]
    )
    log = pq.read_table(shop / "impressions.parquet")
    log = log.rename_columns([names.get(n, n) for n in log.column_names])
    pq.write_table(items, folder / "items.parquet")
    pq.write_table(log, folder / "log.parquet")
    init([folder], folder / "shop.yaml", quiet)
    found = Schema.from_yaml(folder / "shop.yaml")
    assert (found.items.id, found.items.image) == ("id", "blob")
    assert (found.impressions.item, found.impressions.labels) == ("ref", ["z"])
    assert found.impressions.time == "q7"
    assert "are ids of the items" in (folder / "shop.yaml").read_text()


def test_unknown_columns_wait_as_comments(tmp_path, quiet):
    log = _log().append_column("zzz", pa.array(np.arange(40) % 3))
    log = log.append_column("dwell_time", pa.array(np.arange(40) / 7))
    pq.write_table(log, tmp_path / "log.parquet")
    init([tmp_path], tmp_path / "shop.yaml", quiet)
    text = (tmp_path / "shop.yaml").read_text()
    assert "#   zzz: categorical" in text
    assert "leak the label" in text
    assert Schema.from_yaml(tmp_path / "shop.yaml").impressions.features == {}


def test_pictures_beside_the_table_are_found(tmp_path, quiet):
    (tmp_path / "data" / "pics").mkdir(parents=True)
    (tmp_path / "data" / "pics" / "a.jpg").write_bytes(b"there")
    items = pa.table({"item_id": ["i1"], "photo": ["pics/a.jpg"]})
    pq.write_table(items, tmp_path / "data" / "items.parquet")
    pq.write_table(_log(), tmp_path / "data" / "log.parquet")
    report = init([tmp_path / "data"], tmp_path / "shop.yaml", quiet)
    assert Schema.from_yaml(tmp_path / "shop.yaml").items.image_root == "data"
    assert report.missing_files == 0


def test_shards_are_one_table(tmp_path, quiet):
    (tmp_path / "log").mkdir()
    for part in range(3):
        pq.write_table(_log(), tmp_path / "log" / f"part-{part:05d}.parquet")
    report = init([tmp_path], tmp_path / "shop.yaml", quiet)
    assert report.rows["impressions"] == 120


def test_missing_label_is_a_todo_and_an_error(tmp_path, quiet):
    log = _log().drop_columns("click")
    log = log.append_column("rating", pa.array(np.arange(40) % 10 / 2))
    pq.write_table(log, tmp_path / "ratings.parquet")
    with pytest.raises(TfmmError, match=r"impressions.labels: a column of 0 and 1"):
        init([tmp_path], tmp_path / "shop.yaml", quiet)
    assert "# TODO: a column of 0 and 1" in (tmp_path / "shop.yaml").read_text()
    assert Schema.from_yaml(tmp_path / "shop.yaml").impressions.user == "user_id"


@pytest.mark.parametrize("kind", ["Order placed", "view"])
def test_searches_without_a_bought_item_are_joined(tmp_path, quiet, kind):
    log = _log()
    kinds, words = pa.array(["cart", kind] * 20), pa.array([f"w{i}" for i in range(40)])
    events = log.drop_columns("click").append_column("event", kinds)
    searches = log.select(["user_id", "time"]).append_column("query", words)
    for name, table in {"shown": log, "events": events, "searches": searches}.items():
        pq.write_table(table, tmp_path / f"{name}.parquet")
    out = tmp_path / "shop.yaml"
    if kind == "view":
        with pytest.raises(TfmmError, match=r"searches.bought: the column"):
            init([tmp_path], out, quiet)
        return
    report = init([tmp_path], out, quiet)
    schema = Schema.from_yaml(out)
    assert schema.searches.columns().keys() == {"time", "query_text", "user"}
    assert schema.pairs.purchase_type == "Order placed"
    assert report.rows["searches"] == 40


def test_no_log_at_all_is_an_error(tmp_path, quiet):
    table = pa.table({"item_id": ["a", "b"], "title": ["hat", "cap"]})
    pq.write_table(table, tmp_path / "items.parquet")
    with pytest.raises(TfmmError, match="one row for every shown item"):
        init([tmp_path], tmp_path / "shop.yaml", quiet)


@pytest.mark.parametrize("column", ["time", "click", "user_id"])
@pytest.mark.parametrize("suffix", ["csv", "jsonl"])
def test_one_bad_value_hides_no_role(tmp_path, quiet, suffix, column):
    rows = (_log().to_pylist() * 25)[:1000]
    rows[500] = rows[500] | {column: "bro ken"}
    file = tmp_path / f"log.{suffix}"
    if suffix == "csv":
        lines = [",".join(map(str, row.values())) for row in rows]
        file.write_text("\n".join(["user_id,item_id,time,click", *lines]))
    else:
        file.write_text("\n".join(map(json.dumps, rows)))
    report = init([file], tmp_path / "shop.yaml", quiet)
    found = Schema.from_yaml(tmp_path / "shop.yaml").impressions
    assert (found.user, found.item) == ("user_id", "item_id")
    assert (found.time, found.labels) == ("time", ["click"])
    left_out = {"time": "not_time", "click": "not_label"}
    expected = {f"{column}: {left_out[column]}": 1} if column in left_out else {}
    assert report.dead_letters.get("impressions", {}) == expected


def test_one_odd_label_hides_no_role_in_parquet(tmp_path, quiet):
    rows = _log().to_pylist() * 25
    rows[500] = rows[500] | {"click": 7}
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "log.parquet")
    init([tmp_path], tmp_path / "shop.yaml", quiet)
    assert Schema.from_yaml(tmp_path / "shop.yaml").impressions.labels == ["click"]


def test_damaged_lines_hide_no_table(tmp_path, quiet):
    log = [json.dumps(row) for row in _log().to_pylist()]
    log.insert(3, '{"user_id": 1, "item')
    (tmp_path / "log.jsonl").write_text("\n".join(log))
    (tmp_path / "items.csv").write_bytes(
        b'item_id,title\ni0,"two\nlines"\ni1\ni2,caf\xe9\ni3,hat\n'
    )
    report = init([tmp_path], tmp_path / "shop.yaml", quiet)
    found = Schema.from_yaml(tmp_path / "shop.yaml")
    assert (found.items.id, found.items.title) == ("item_id", "title")
    assert report.rows == {"impressions": 41, "items": 4}
    assert report.dead_letters == {
        "impressions": {"user_id: no_user": 1},
        "items": {"item_id: no_id": 2},
    }


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_columns_of_one_name_are_no_table(tmp_path, quiet, suffix):
    file = tmp_path / f"log.{suffix}"
    table = pa.table([[1], [2], [3]], names=["user_id", "item_id", "user_id"])
    if suffix == "csv":
        pyarrow.csv.write_csv(table, file)
    else:
        pq.write_table(table, file)
    with pytest.raises(TfmmError, match=r"several columns of one name.*'user_id'"):
        init([file], tmp_path / "shop.yaml", quiet)


def test_never_overwrites_without_force(tmp_path, quiet):
    pq.write_table(_log(), tmp_path / "log.parquet")
    (tmp_path / "shop.yaml").write_text("mine")
    with pytest.raises(TfmmError, match="--force"):
        init([tmp_path / "log.parquet"], tmp_path / "shop.yaml", quiet)
    assert (tmp_path / "shop.yaml").read_text() == "mine"
    init([tmp_path / "log.parquet"], tmp_path / "shop.yaml", quiet, force=True)
    assert Schema.from_yaml(tmp_path / "shop.yaml").name == "shop"


def test_unreadable_files_get_an_error(tmp_path, quiet):
    (tmp_path / "log.parquet").write_bytes(b"nothing")
    with pytest.raises(TfmmError, match="cannot be read"):
        init([tmp_path], tmp_path / "shop.yaml", quiet)
    with pytest.raises(TfmmError, match="There is no file"):
        init([tmp_path / "gone.parquet"], tmp_path / "shop.yaml", quiet)
    (tmp_path / "log.csv").write_text("user_id,item_id,time,click\n")
    with pytest.raises(TfmmError, match="has no rows"):
        init([tmp_path / "log.csv"], tmp_path / "shop.yaml", quiet)


def test_loads_no_tensorflow():
    code = (
        "import sys, tfmm.onboarding.init, tfmm.onboarding.trial\n"
        "print('tensorflow' in sys.modules, 'apache_beam' in sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert found.stdout.split() == ["False", "False"]


def _log(factor=1):
    rows = np.arange(40)
    return pa.table(
        {
            "user_id": rows % 4,
            "item_id": [f"i{row % 7}" for row in rows],
            "time": (1_700_000_000 + rows * 3_600) * factor,
            "click": rows % 2,
        }
    )
