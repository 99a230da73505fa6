import datetime

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pytest
from log_table import LOG, everything, impressions, write

from tfmm.column_values import convert
from tfmm.errors import TfmmError
from tfmm.schema import Events, Items, Searches


def test_required_and_optional_values(tmp_path):
    columns = LOG | {"u": [None, "8", ""], "c": [0, 2, 1], "p": [None, None, 1.0]}
    write(tmp_path / "log.parquet", columns)
    rows, letters = everything(impressions("log.parquet"), tmp_path)
    assert rows["row"] == []
    assert sorted(letters) == [
        (0, "u", "no_user"),
        (1, "c", "not_label"),
        (2, "u", "not_id"),
    ]


def test_nan_is_missing_and_infinity_unreadable(tmp_path):
    prices = np.array([np.nan, np.inf, 1.0])
    write(tmp_path / "log.parquet", LOG | {"p": pa.array(prices)})
    rows, letters = everything(impressions("log.parquet"), tmp_path)
    assert rows["features:p"] == [None, 1.0]
    assert letters == [(1, "p", "not_number")]


def test_ids_of_every_type_become_text(tmp_path):
    for ids in (
        pa.array([7, 8, 9], pa.uint8()),
        pa.array([7.0, 8.0, 9.0]),
        pa.array(["7", "8", "9"]).dictionary_encode(),
        pa.array([b"7", b"8", b"9"], pa.large_binary()),
        pa.array(["7", "8", "9"], pa.large_string()),
    ):
        write(tmp_path / "log.parquet", LOG | {"u": ids})
        rows, _ = everything(impressions("log.parquet"), tmp_path)
        assert rows["user"] == ["7", "8", "9"]


def test_an_id_with_a_line_break_is_no_id(tmp_path):
    write(tmp_path / "log.parquet", LOG | {"i": ["x", "y\nz", "w"]})
    rows, letters = everything(impressions("log.parquet"), tmp_path)
    assert rows["item"] == ["x", "w"] and letters == [(1, "i", "not_id")]


SECOND = 1_704_164_645  # 2024-01-02T03:04:05 in UTC


@pytest.mark.parametrize(
    ("times", "unit"),
    [
        (pa.array([SECOND] * 3), "s"),
        (pa.array([float(SECOND)] * 3), "s"),
        (pa.array([SECOND * 1000] * 3), "ms"),
        (pa.array([SECOND * 1_000_000] * 3), "us"),
        (pa.array([str(SECOND)] * 3), "s"),
        (pa.array([f"{SECOND}.0"] * 3), "s"),
        (pa.array([SECOND * 10**9] * 3).cast(pa.timestamp("ns")), "s"),
        (pa.array([SECOND] * 3).cast(pa.timestamp("s", "Europe/Rome")), "s"),
        (pa.array(["2024-01-02T03:04:05"] * 3), "s"),
        (pa.array(["2024-01-02 03:04:05Z"] * 3), "s"),
        (pa.array(["2024-01-02T04:04:05+01:00", str(SECOND), f"{SECOND}.0"]), "s"),
    ],
)
def test_times_of_every_type(tmp_path, times, unit):
    write(tmp_path / "log.parquet", LOG | {"t": times})
    rows, letters = everything(impressions("log.parquet"), tmp_path, unit)
    assert letters == []
    assert rows["time"] == [SECOND * 1_000_000] * 3


def test_dates(tmp_path):
    days = pa.array([datetime.date(1970, 1, 2)] * 3)
    write(tmp_path / "log.parquet", LOG | {"t": days})
    rows, _ = everything(impressions("log.parquet"), tmp_path)
    assert rows["time"] == [86_400_000_000] * 3


@pytest.mark.parametrize(
    "times",
    [
        pa.array([SECOND * 1000] * 3),  # milliseconds, but the schema says seconds
        pa.array([datetime.time(1)] * 3),
        pa.array([["1"]] * 3),
    ],
)
def test_times_that_cannot_be(tmp_path, times):
    write(tmp_path / "log.parquet", LOG | {"t": times})
    with pytest.raises(TfmmError, match=r"column `t`.*time_unit"):
        everything(impressions("log.parquet"), tmp_path)


def test_one_time_that_cannot_be(tmp_path):
    write(tmp_path / "log.parquet", LOG | {"t": [1.0, np.inf, 2.0]})
    rows, letters = everything(impressions("log.parquet"), tmp_path)
    assert rows["time"] == [1_000_000, 2_000_000]
    assert letters == [(1, "t", "not_time")]


@pytest.mark.parametrize(
    "clicked",
    [
        pa.array([["1", "2"], [], None, ["3", None]]),
        pa.array([[1, 2], [], None, [3, None]], pa.large_list(pa.int64())),
        pa.array(["1|2", "", None, "3|"]),
    ],
)
def test_lists_of_ids(tmp_path, clicked):
    columns = {"t": [1] * 4, "b": ["x"] * 4, "q": ["words"] * 4, "k": clicked}
    write(tmp_path / "s.parquet", columns)
    searches = Searches(
        files="s.parquet", time="t", bought="b", query_text="q", clicked="k"
    )
    rows, letters = everything(searches, tmp_path)
    found = [x and [y for y in x if y] for x in rows["clicked"]]
    assert found == [["1", "2"], [], None, ["3"]] and letters == []


@pytest.mark.parametrize("kind", [pa.binary(), pa.large_binary(), pa.binary_view()])
def test_pictures_stay_bytes(tmp_path, kind):
    columns = {"id": ["x", "y"], "m": pa.array([b"\xff\xd8", None], kind)}
    write(tmp_path / "items.parquet", columns)
    items = Items(files="items.parquet", id="id", image="m")
    rows, _ = everything(items, tmp_path)
    assert rows["image"] == [b"\xff\xd8", None]


@pytest.mark.parametrize("kind", [pa.large_string(), pa.string_view()])
def test_every_type_of_text_says_what_is_missing(tmp_path, kind):
    columns = {
        "u": ["7", "8", "9"],
        "t": ["1", "2", "NA"],
        "c": ["1", "", "0"],
        "p": ["1.5", "NaN", "2"],
    }
    texts = {name: pa.array(column, kind) for name, column in columns.items()}
    write(tmp_path / "log.parquet", LOG | texts)
    rows, letters = everything(impressions("log.parquet"), tmp_path)
    assert (rows["row"], rows["features:p"]) == ([0], [1.5])
    assert sorted(letters) == [(1, "c", "no_label"), (2, "t", "no_time")]


@pytest.mark.parametrize("odd", [[], ["é"], ["b\nc"], ["\x7f"], ["f\x85g", None]])
def test_ids_beside_odd_ones(odd):
    """A column of plain letters alone is checked in another way."""
    found = convert(pa.array(["a b", "", None, "~", *odd], pa.string()), "id", "s")
    expected = {"é": "é"}
    assert found.to_pylist() == ["a b", None, None, "~", *map(expected.get, odd)]


def test_categories_are_one_line_and_empty_ones_are_missing(tmp_path):
    values = ["a", "b\nc", "", None, "d\u2028e", "f\x85g", "é h"]
    columns = {"user": list("1234567"), "item": ["x"] * 7, "time": [1] * 7}
    write(tmp_path / "events.parquet", columns | {"type": values})
    events = Events(
        files="*.parquet", user="user", item="item", time="time", type="type"
    )
    rows, letters = everything(events, tmp_path)
    assert rows["type"] == ["a", None, None, "é h"] and rows["row"] == [0, 2, 3, 6]
    assert letters == [(row, "type", "not_category") for row in (1, 4, 5)]

    write(tmp_path / "log.parquet", LOG | {"p": ["red", "re\td", ""]})
    log = impressions("log.parquet").model_copy(
        update={"features": {}, "context": {"p": "categorical"}}
    )
    rows, letters = everything(log, tmp_path)
    assert rows["context:p"] == ["red", None] and letters == [(1, "p", "not_category")]


def test_titles_keep_their_line_breaks(tmp_path):
    write(tmp_path / "items.parquet", {"id": ["x"], "title": ["two\nlines"]})
    items = Items(files="items.parquet", id="id", title="title")
    rows, _ = everything(items, tmp_path)
    assert rows["title"] == ["two\nlines"]


def test_labels_are_booleans_in_every_format(tmp_path):
    for suffix in ("parquet", "csv", "jsonl"):
        write(tmp_path / f"log.{suffix}", LOG | {"c": [True, False, True]})
        rows, letters = everything(impressions(f"log.{suffix}"), tmp_path)
        assert rows["label:c"] == [1.0, 0.0, 1.0] and letters == []
    mixed = [True, False, "maybe"]
    write(tmp_path / "log.jsonl", LOG | {"c": mixed})
    rows, letters = everything(impressions("log.jsonl"), tmp_path)
    assert rows["label:c"] == [1.0, 0.0] and letters == [(2, "c", "not_label")]
