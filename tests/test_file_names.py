import pytest
from log_table import everything, impressions, write

from tfmm.errors import TfmmError
from tfmm.file_names import facts, matching
from tfmm.tables import files

NAMES = [
    *("2026/a b.csv", "2026/b.csv", "2026/.c.csv", "2025/a.csv", "2025/x/a.csv"),
    *("a.csv", "b.parquet"),
]


@pytest.fixture
def logs(tmp_path):
    for name in NAMES:
        (tmp_path / "logs" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "logs" / name).write_text(name)
    return tmp_path / "logs"


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("a.csv", ["a.csv"]),
        ("*.csv", ["a.csv"]),
        ("2026/*.csv", ["2026/a b.csv", "2026/b.csv"]),
        ("*/a*.csv", ["2025/a.csv", "2026/a b.csv"]),
        ("202[56]/*/*", ["2025/x/a.csv"]),
        ("**/b.csv", ["2026/b.csv"]),
        ("*/.*.csv", ["2026/.c.csv"]),
    ],
)
def test_patterns_of_uris_find_what_local_ones_do(logs, pattern, found):
    assert matching(pattern, logs) == [str(logs / name) for name in found]
    uris = [f"file://{logs}/{name.replace(' ', '%20')}" for name in found]
    assert matching(f"file://{logs}/{pattern}", logs) == uris
    assert [facts(uri) for uri in uris] == [facts(str(logs / name)) for name in found]


def test_a_pattern_that_finds_nothing_is_refused(logs):
    for base in ("", f"file://{logs}/"):
        for pattern in ("*.jsonl", "absent/*.csv"):
            with pytest.raises(TfmmError, match="There is no file"):
                matching(base + pattern, logs)
    # Whether a plain URI is there is known when it is opened.
    absent = f"file://{logs}/absent.csv"
    assert matching(absent, logs) == [absent] and facts(absent) is None


def test_a_file_system_that_nobody_knows_is_refused(logs):
    with pytest.raises(TfmmError, match=r"`nowhere://logs` cannot be reached"):
        matching("nowhere://logs/*.csv", logs)


def test_a_table_of_uris(tmp_path):
    columns = {"u": ["7"], "i": ["x"], "t": [1], "c": [0], "p": [1.5]}
    for name in ("b 1.csv", "b 2.csv"):
        write(tmp_path / name, columns)
    table = impressions(f"file://{tmp_path}/*.csv")
    assert len(files(table, tmp_path)) == 2
    good, letters = everything(table, tmp_path)
    assert good["user"] == ["7", "7"] and letters == []
