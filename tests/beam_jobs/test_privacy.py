"""No raw user id and no search text where they do not belong."""

import io

import pyarrow.parquet as pq
import shop
from shop import PLANTED_QUERY, PLANTED_USER


def readable(path):
    """A file's bytes, Parquet columns decoded."""
    if path.suffix != ".parquet":
        return path.read_bytes()
    text = io.StringIO()
    for row in pq.read_table(path).to_pylist():
        print(row, file=text)
    return text.getvalue().encode()


def places(out, planted):
    files = [path for path in out.rglob("*") if path.is_file()]
    assert len(files) > 30
    return [
        str(path.relative_to(out))
        for path in files
        if planted.encode() in readable(path)
    ]


def test_the_seeds_are_in_the_input(simulated):
    schema, _, _ = simulated
    assert places_of_input(schema, PLANTED_USER) == ["events", "impressions", "users"]
    assert places_of_input(schema, PLANTED_QUERY) == ["searches"]


def places_of_input(schema, planted):
    files = sorted(schema.parent.glob("*.parquet"))
    return [path.stem for path in files if planted.encode() in readable(path)]


def test_there_are_dead_letters(simulated):
    out = simulated[1]
    assert shop.letters(out / "timelines") == [
        ("events.parquet", 10, "time", "no_time"),
        ("impressions.parquet", 10, "click", "not_label"),
    ]
    assert ("searches.parquet", 10, "bought_item", "no_bought") in shop.letters(
        out / "pairs"
    )


def test_no_raw_user_id_in_any_output(simulated):
    assert places(simulated[1], PLANTED_USER) == []


def test_search_text_in_pair_records_alone(simulated):
    found = places(simulated[1], PLANTED_QUERY)
    assert found and all(
        path.startswith("pairs/") and path.endswith(".tfrecord") for path in found
    )


def test_the_secret_is_in_no_output(simulated):
    assert places(simulated[1], "0123456789abcdef") == []
