import hashlib

import pytest

from beam_jobs import files
from beam_jobs.packs import places, read_sections, write_pack
from beam_jobs.work import PACKS, Work


@pytest.fixture
def work(tmp_path):
    return Work(str(tmp_path / "work"), shards=4)


def packed(work, key, sections):
    with work.unit(key) as unit:
        write_pack(unit, key, sections)
    return dict(places(work, key))


def test_every_shard_gets_its_stretch_of_every_pack(work):
    second = packed(work, "items-2", {1: b"four"})
    first = packed(work, "items-1", {0: b"one", 1: b"", 3: b"three"})
    assert list(first) == [0, 1, 3] and list(second) == [1]
    # In the order of packs, in whatever order the places come.
    assert list(read_sections(work, [second[1], first[1]])) == [b"", b"four"]
    assert list(read_sections(work, [first[3], first[0]])) == [b"one", b"three"]
    names = files.names(work.path(PACKS), ".pack")
    digest = hashlib.sha256(b"onethree").hexdigest()[:16]
    assert names[0] == f"items-1-{digest}.pack" and len(names) == 2
    assert files.read(work.path(PACKS, names[0])) == b"onethree"


def test_a_place_leads_to_what_it_was_made_for_after_another_attempt(work):
    then = packed(work, "items-1", {0: b"fetched", 1: b"other"})
    now = packed(work, "items-1", {0: b"", 1: b"other"})
    assert list(read_sections(work, [then[0]])) == [b"fetched"]
    assert list(read_sections(work, [now[1]])) == [b"other"]


def test_a_batch_without_any_row(work):
    assert packed(work, "items-1", {}) == {}
