"""Each user's own last searches are the test, and no user is written out."""

import pytest
import shop
from shop import PLANTED_USER

from beam_jobs import search_pairs
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.leak import check_pairs
from tfmm.records.manifest import read_manifest

# The early shopper's test begins before the late shopper's training does; the last
# search is nobody's.
USERS = [PLANTED_USER] * 5 + ["late"] * 5 + [None]
TIMES = [5, 1, 2, 3, 4, 60, 80, 90, 70, 90, 1]
PER_USER = {"rule": "per_user_last_fraction", "test_fraction": 0.2}
ROLES = {
    "files": "searches.parquet",
    "time": "time",
    "bought": "bought",
    "query_text": "text",
    "user": "shopper",
}


def run(folder, split=PER_USER, roles=ROLES, **columns):
    searches = {
        "time": TIMES,
        "bought": ["a"] * 11,
        "text": [f"{user}{time}" for user, time in zip(USERS, TIMES, strict=True)],
        "shopper": USERS,
    }
    schema = shop.write(
        folder / "shop", {"searches": searches | columns}, searches=roles, split=split
    )
    ItemIndex.create(["a"]).save(folder / "index")
    places = (str(folder / "index"), str(folder / "pairs"))
    return search_pairs.run(str(schema), *places, control=shop.ANY_BAD)


def times(folder, part):
    records = shop.records(folder / "pairs" / part)
    return sorted(record["time"][0] // 1_000_000 for record in records)


def test_each_users_last_searches_are_the_test(tmp_path):
    texts = {"text": ["q"] * 11}
    manifest = run(tmp_path, **texts)
    # Of 1 to 5 the last of five moments, of 60 70 80 90 90 the last of four.
    assert times(tmp_path, "test") == [5, 90, 90]
    assert times(tmp_path, "train") == [1, 2, 3, 4, 60, 70, 80]
    assert manifest["counts"]["dropped"] == {"no_user": 1}
    letters = shop.letters(tmp_path / "pairs")
    assert letters == [("searches.parquet", 10, "shopper", "no_user")]
    for path in (tmp_path / "pairs").rglob("*"):
        assert path.is_dir() or PLANTED_USER.encode() not in path.read_bytes()
    # Pairs without users are the test's, for all that anybody can tell, from 5 on.
    first = read_manifest(tmp_path / "pairs")["first_test"]
    assert first == 5_000_000
    with pytest.raises(TfmmError, match="3 of 7"):
        check_pairs(tmp_path / "pairs/train", first)


def test_validation_is_no_training(tmp_path):
    run(tmp_path, split=PER_USER | {"validation_fraction": 0.2})
    assert times(tmp_path, "test") == [4, 5, 80, 90, 90]


def test_without_users_one_moment_holds_for_everybody(tmp_path):
    run(tmp_path, roles={k: v for k, v in ROLES.items() if k != "user"})
    # floor(0.8 * 11) = 8 of 1 1 2 3 4 5 60 70 80 90 90 train.
    assert times(tmp_path, "test") == [80, 90, 90]


def test_users_do_not_matter_to_a_global_split(tmp_path):
    manifest = run(tmp_path, split={"rule": "global_time", "test_from": 70})
    assert times(tmp_path, "test") == [70, 80, 90, 90]
    assert manifest["counts"]["dropped"] == {}


@pytest.mark.parametrize("leaking", [False, True])
def test_a_given_part_is_judged_by_each_users_moments(tmp_path, leaking):
    parts = ["test", *["train"] * 4, "test", "train", "test", "train", "test", "train"]
    parts[0] = "train" if leaking else "test"
    given = {"part": parts, "roles": ROLES | {"part": "part"}}
    if not leaking:
        run(tmp_path, **given)
        assert times(tmp_path, "train") == [1, 2, 3, 4, 70, 80]
        return
    with pytest.raises(
        TfmmError, match=r"last ones of each `shopper`.*1 of 7"
    ) as error:
        run(tmp_path, **given)
    assert "from 1970-01-01T00:00:05 to 1970-01-01T00:00:05" in str(error.value)
    assert PLANTED_USER not in str(error.value)
