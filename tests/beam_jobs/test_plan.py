import io
import time

import pytest
from rich.console import Console

from beam_jobs import plan, progress
from beam_jobs.memory import UNKNOWN, free_memory
from beam_jobs.plan import MIB, Plan, shards_for


def planned(**rows):
    return Plan("behaviours", "/absent", 8, rows, 0, row_bytes=200, base_bytes=MIB)


def test_memory_follows_the_rows_of_all_tables():
    assert planned(impressions=1000, events=500).memory == MIB + 1500 * 200


@pytest.mark.parametrize(("free", "fits"), [(MIB + 20_000, True), (MIB, False)])
def test_advice_where_memory_is_short(monkeypatch, free, fits):
    monkeypatch.setattr(plan, "free_memory", lambda: free)
    advice = planned(impressions=100).advice()
    assert advice == "" if fits else "cluster (docs/clusters.md)" in advice
    assert fits or "about 1.0 MiB of memory, and 1.0 MiB are free" in advice


@pytest.mark.parametrize(
    ("found", "free"),
    [
        ({}, UNKNOWN),
        ({"proc/meminfo": "MemTotal: 9 kB\nMemAvailable:   4 kB\n"}, 4096),
        (
            {
                "proc/meminfo": "MemAvailable: 4 kB\n",
                "sys/fs/cgroup/memory.max": "3000\n",
                "sys/fs/cgroup/memory.stat": "anon 1000\nfile 1900\n",
            },
            2000,
        ),
        (
            {
                "proc/meminfo": "MemAvailable: 4 kB\n",
                "sys/fs/cgroup/memory.max": "max\n",
            },
            4096,
        ),
        (
            {
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "3000\n",
                "sys/fs/cgroup/memory/memory.stat": "rss 1\ntotal_rss 4000\n",
            },
            0,
        ),
    ],
)
def test_free_memory_is_the_machine_s_or_the_container_s(tmp_path, found, free):
    for name, text in found.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    assert free_memory(tmp_path) == free


def test_shards_are_powers_of_two():
    assert [shards_for(n) for n in (0, 4_000_000, 4_000_001)] == [8, 8, 16]


# Progress


@pytest.fixture
def screen(monkeypatch):
    made = io.StringIO()
    monkeypatch.setattr(progress, "_LOOK_SECONDS", 0.01)
    console = Console(file=made, force_terminal=True, color_system=None, width=100)
    monkeypatch.setattr(progress, "Console", lambda **_: console)
    return made


def test_bars_end_full(screen):
    done = {}
    with progress.shown("job", {"rows": 10, "shards": 4, "never": 5}, lambda: done):
        done |= {"rows": 7, "shards": 1, "other": 3}
        time.sleep(0.3)
        assert "7/10" in screen.getvalue()
    last = screen.getvalue()[-400:]
    assert "10/10" in last and "4/4" in last
    assert "never" not in last and "other" not in last


def test_bars_of_a_failure_stay_where_they_are(screen):
    with (
        pytest.raises(ZeroDivisionError),
        progress.shown("job", {"rows": 10}, lambda: {"rows": 7}),
    ):
        raise ZeroDivisionError
    assert "7/10" in screen.getvalue() and "10/10" not in screen.getvalue()


def test_totals_that_were_judged_give_way(screen):
    with progress.shown("job", {"rows": 10}, lambda: {"rows": 12}):
        time.sleep(0.05)
    assert "12/12" in screen.getvalue()


def test_lines_where_there_is_no_terminal(monkeypatch):
    made = io.StringIO()
    monkeypatch.setattr(progress, "_LINE_SECONDS", 0.02)
    monkeypatch.setattr(progress, "Console", lambda **_: Console(file=made, width=100))
    with progress.shown("job", {"rows": 1000}, lambda: {"rows": 70, "other": 1}):
        time.sleep(0.05)
    assert made.getvalue().splitlines()[0].startswith("  job: rows 70 of 1,000 (")
