import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from log_table import LOG, everything, impressions, write

from tfmm import table_files
from tfmm.errors import TfmmError
from tfmm.schema import Items
from tfmm.tables import holds_integers, parts, read


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl", "json"])
def test_every_format_reads_alike(tmp_path, suffix):
    write(tmp_path / f"log.{suffix}", LOG)
    rows, letters = everything(impressions(f"log.{suffix}"), tmp_path)
    assert letters == []
    assert rows == {
        "user": ["7", "8", "9"],
        "item": ["x", "y", "z"],
        "time": [1_000_000, 2_000_000, 3_000_000],
        "label:c": [0.0, 1.0, 0.0],
        "features:p": [1.5, 2.5, None],
        "row": [0, 1, 2],
    }


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_one_bad_value_costs_its_row(tmp_path, suffix):
    prices = ["1.5", "cheap", "2.5"] if suffix != "jsonl" else [1.5, "cheap", 2.5]
    write(tmp_path / f"log.{suffix}", LOG | {"p": prices})
    rows, letters = everything(impressions(f"log.{suffix}"), tmp_path)
    assert rows["user"] == ["7", "9"] and rows["row"] == [0, 2]
    assert letters == [(1, "p", "not_number")]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_bad_column_is_an_error(tmp_path, suffix):
    path = write(tmp_path / f"log.{suffix}", LOG | {"p": ["low", "mid", "high"]})
    with pytest.raises(TfmmError) as error:
        everything(impressions(path.name), tmp_path)
    for words in (str(path), "`p`", "Expected: numbers", "Received: string", "'low'"):
        assert words in str(error.value)


def test_a_short_last_chunk_with_a_bad_value_is_no_bad_column(tmp_path):
    table = pa.table(LOG | {"p": ["1", "2", "dear"]})
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=1)
    rows, letters = everything(impressions("log.parquet"), tmp_path)
    assert rows["row"] == [0, 1]
    assert letters == [(2, "p", "not_number")]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_missing_column_is_named(tmp_path, suffix):
    columns = {name: LOG[name] for name in "uitc"}
    path = write(tmp_path / f"log.{suffix}", columns)
    with pytest.raises(TfmmError) as error:
        parts(impressions(path.name), tmp_path)
    for words in (str(path), "`p`", "Expected: a column of numbers", "u, i, t, c"):
        assert words in str(error.value)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_a_file_of_no_bytes(tmp_path, suffix):
    path = tmp_path / f"log.{suffix}"
    path.touch()
    with pytest.raises(TfmmError, match=rf"`{path}` cannot be read. Expected: a "):
        parts(impressions(path.name), tmp_path)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_a_table_of_no_rows(tmp_path, suffix):
    write(tmp_path / f"log.{suffix}", {n: pa.array([], pa.string()) for n in LOG})
    with pytest.raises(TfmmError, match=r"has no rows. Expected: at least one"):
        parts(impressions(f"log.{suffix}"), tmp_path)


def test_one_of_several_files_may_be_empty(tmp_path):
    write(tmp_path / "a.parquet", pa.table(LOG).slice(0, 0).to_pydict() | LOG)
    pq.write_table(pa.table(LOG).slice(0, 0), tmp_path / "b.parquet")
    found = parts(impressions("*.parquet"), tmp_path)
    assert [part.file for part in found] == [str(tmp_path / "a.parquet")]


def test_damaged_parquet(tmp_path):
    path = write(tmp_path / "log.parquet", LOG)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TfmmError, match="cannot be read"):
        parts(impressions("log.parquet"), tmp_path)


def test_unknown_suffix_and_absent_file(tmp_path):
    (tmp_path / "log.xlsx").touch()
    with pytest.raises(TfmmError, match=r"unknown suffix.*Received: '.xlsx'"):
        parts(impressions("log.xlsx"), tmp_path)
    with pytest.raises(TfmmError, match="There is no file"):
        parts(impressions("absent-*.csv"), tmp_path)


def test_damaged_json_lines_cost_themselves(tmp_path):
    path = write(tmp_path / "log.jsonl", LOG)
    path.write_text(path.read_text() + "\n[1]\n{'u': 3\n")
    rows, letters = everything(impressions("log.jsonl"), tmp_path)
    assert rows["row"] == [0, 1, 2]
    assert letters == [(3, "u", "no_user"), (4, "u", "no_user")]


def test_csv_keeps_the_text_na_and_quoted_newlines(tmp_path):
    path = tmp_path / "items.csv"
    path.write_text('id,title,p\nNA,"two\nlines",NA\nnull,,nan\n')
    items = Items(files="items.csv", id="id", title="title", features={"p": "numeric"})
    rows, letters = everything(items, tmp_path)
    assert rows["id"] == ["NA", "null"] and letters == []
    assert rows["title"] == ["two\nlines", None]
    assert rows["features:p"] == [None, None]


def test_chunks_number_their_rows(tmp_path, monkeypatch):
    monkeypatch.setattr(table_files, "CHUNK_ROWS", 2)
    for suffix in ("parquet", "jsonl"):
        write(tmp_path / f"log.{suffix}", LOG)
        table = impressions(f"log.{suffix}")
        (part,) = parts(table, tmp_path)
        chunks = [chunk["row"].to_pylist() for chunk, _ in read(table, part, "s")]
        assert chunks == [[0, 1], [2]]


def test_only_the_roles_asked_for(tmp_path):
    write(tmp_path / "log.parquet", LOG | {"p": ["a", "b", "c"]})
    rows, _ = everything(impressions("log.parquet"), tmp_path, roles=["item"])
    assert sorted(rows) == ["item", "row"]


@pytest.mark.parametrize("suffix", ["parquet", "csv", "jsonl"])
def test_integer_columns_are_found(tmp_path, suffix):
    write(tmp_path / f"log.{suffix}", LOG | {"u": [7, 8, 9]})
    table = impressions(f"log.{suffix}")
    assert holds_integers(table, tmp_path, "user")
    assert not holds_integers(table, tmp_path, "item")


def csv_log(folder, rows):
    (folder / "log.csv").write_bytes(b"u,i,t,c,p\n" + rows)
    return everything(impressions("log.csv"), folder)


def test_csv_rows_of_another_width_cost_themselves(tmp_path):
    rows, letters = csv_log(
        tmp_path, b'7,x\n7,x,1,0,1\n8,"a, b",2,1,2\n8,y,2,1,2,3\n9,z,3,0,3\n9\n'
    )
    assert rows["user"] == ["7", "8", "9"] and rows["item"] == ["x", "a, b", "z"]
    assert rows["row"] == [1, 2, 4]
    assert letters == [(row, "u", "no_user") for row in (0, 3, 5)]


@pytest.mark.slow
def test_csv_row_numbers_hold_over_blocks(tmp_path):
    """200,000 rows are several blocks; every 50,000th has one value too few."""
    bad = [7, 50_007, 100_007, 150_007, 199_999]
    lines = [f"{row},x,1,0,1" for row in range(200_000)]
    for row in bad:
        lines[row] = "secret,x,1,0"
    rows, letters = csv_log(tmp_path, "\n".join(lines).encode())
    assert letters == [(row, "u", "no_user") for row in bad]
    assert rows["row"] == [row for row in range(200_000) if row not in bad]
    assert rows["user"] == [str(row) for row in rows["row"]]


def test_bytes_that_are_not_utf8_cost_their_csv_row(tmp_path):
    rows, letters = csv_log(
        tmp_path, b"7,x,1,0,1\n8,caf\xe9,2,1,2\n9,z,3,0,\xff\n\xc3\xa9,z,3,0,\n"
    )
    assert rows["user"] == ["7", "é"] and rows["row"] == [0, 3]
    assert rows["features:p"] == [1.0, None]
    assert letters == [(1, "u", "no_user"), (2, "u", "no_user")]


def test_no_message_shows_a_csv_row(tmp_path):
    (tmp_path / "log.csv").write_bytes(b"u,i,t,c,p\n" + b"hidden-person\n" * 3)
    rows, letters = everything(impressions("log.csv"), tmp_path)
    assert rows["user"] == [] and len(letters) == 3
    write(tmp_path / "log.parquet", LOG | {"u": ["hidden\nperson"] * 3})
    with pytest.raises(TfmmError, match=r"column `u`.*Received: string") as error:
        everything(impressions("log.parquet"), tmp_path)
    assert "hidden" not in str(error.value)


@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_columns_of_one_name_are_refused(tmp_path, suffix):
    path = tmp_path / f"log.{suffix}"
    table = pa.table([[1], [2], [3]], names=["u", "i", "u"])
    if suffix == "csv":
        path.write_text("u,i,u\n1,2,3\n")
    else:
        pq.write_table(table, path)
    with pytest.raises(TfmmError, match=r"several columns of one name.*'u' more than"):
        parts(impressions(path.name), tmp_path)


def test_parquet_chunks_of_pictures_are_small(tmp_path):
    rng = np.random.default_rng(0)
    pictures = [rng.bytes(300_000) for _ in range(250)]
    table = pa.table({"id": [str(i) for i in range(250)], "picture": pictures})
    pq.write_table(table, tmp_path / "a.parquet", write_batch_size=16)
    _, (piece,) = table_files.inspect(str(tmp_path / "a.parquet"))
    for columns in (None, ["id", "picture"]):
        before = pa.total_allocated_bytes()
        found = list(table_files.chunks(piece, columns))
        assert pa.concat_tables(found).equals(table)
        # 32 MiB hold 111 of these rows.
        assert [chunk.num_rows for chunk in found] == [111, 111, 28]
        del found
        most = 0
        for _ in table_files.chunks(piece, columns):
            most = max(most, pa.total_allocated_bytes() - before)
        assert most < 50e6  # Of 75 MB.
    (whole,) = table_files.chunks(piece, ["id"])
    assert whole.num_rows == 250
