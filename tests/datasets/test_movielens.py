"""The MovieLens converter, on a hand-made source and on the real one where it is."""

import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from tfmm.datasets.movielens import bar, convert
from tfmm.datasets.movielens_features import as_of
from tfmm.errors import TfmmError
from tfmm.records.manifest import read_manifest
from tfmm.records.split import TEST, TRAIN, per_user_last_fraction
from tfmm.schema import Schema

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("TFMM_DATA", ROOT / "../shared/data")) / "movielens_posters"
needs_data = pytest.mark.skipif(
    not REAL.is_dir(), reason=f"needs movielens_posters below TFMM_DATA, not at {REAL}"
)
FILES = {
    "ml-latest-small/ratings.csv": "userId,movieId,rating,timestamp\n"
    + "".join(f"{u},{m},{1 + (u + m) % 5},{100 * u + m // 2}\n" for u in (1, 2, 3)
              for m in range(1, 11)),
    "ml-latest-small/movies.csv": "movieId,title,genres\n"
    + '1,"Mask, The (1994)",Comedy|Crime\n2,Odd,(no genres listed)\n'
    + "".join(f"{m},Film {m} (2000),Drama\n" for m in range(3, 12)),
    "ml-latest-small/tags.csv": "userId,movieId,tag,timestamp\n"
    '1,1,"green, face",150\n1,99,lost,151\n',
    "plots_ml1m_omdb.csv": "movieId,plot,director,actors\n"
    '1,"A clerk, Mr. Ipkiss, finds a mask. It is odd.",Al Be,"C D, E F, G H"\n'
    "77,Elsewhere.,X,Y\n",
}  # fmt: skip


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    (folder / "ml-latest-small").mkdir(parents=True)
    for name, text in FILES.items():
        (folder / name).write_text(text)
    with zipfile.ZipFile(folder / "posters.zip", "w") as file:
        file.writestr("posters/1.jpg", b"jpeg one")
        file.writestr("posters/4.jpg", b"0" * 4_000_001)
        file.writestr("posters/500.jpg", b"of no movie")
        file.writestr("posters/../../evil.jpg", b"evil")
        file.writestr("posters/2.png", b"png")
    return folder


def test_items_have_title_year_genres_and_the_path_of_their_poster(source, tmp_path):
    folder = convert(source, tmp_path / "out")
    items = pq.read_table(folder / "items.parquet").to_pylist()
    assert len(items) == 11
    assert items[0] == {
        "movieId": 1,
        "title": "Mask, The",
        "text": "Mask, The. Comedy Crime",
        "genres": "Comedy Crime",
        "main_genre": "Comedy",
        "year": 1994,
        "image": "posters/1.jpg",
    }
    assert (items[1]["main_genre"], items[1]["year"]) == (None, None)
    assert (folder / "posters/1.jpg").read_bytes() == b"jpeg one"


def test_only_posters_of_movies_leave_the_zip_file(source, tmp_path):
    folder = convert(source, tmp_path / "out")
    assert [path.name for path in folder.rglob("*.jpg")] == ["1.jpg"]
    assert not list(tmp_path.rglob("evil*"))
    dropped = read_manifest(folder, kind="movielens")["posters"]["dropped"]
    assert dropped == {"other_name": 2, "of_no_movie": 1, "too_large": 1}


def test_searches_come_from_tags_plots_and_keywords(source, tmp_path):
    folder = convert(source, tmp_path / "out")
    rows = pq.read_table(folder / "searches.parquet").to_pylist()
    of_mask = [(r["time"], r["query_text"]) for r in rows if r["bought_item"] == 1]
    # User 1 rated movie 1 first: 100 * 1 + 1 // 2 = 100.
    assert of_mask == [
        (100, "A clerk, Mr. Ipkiss, finds a mask."),
        (100, "Comedy Crime Al Be C D E F 1994"),
        (150, "green, face"),
    ]
    # Movie 11 was never rated, movie 99 of a tag does not exist; movie 2 has no words.
    left_out = read_manifest(folder)["texts_without_a_movie"]
    assert (left_out["without_movie"], left_out["never_rated"]) == (1, 1)
    assert len(rows) == 3 + 8


def test_as_of_features_equal_a_slow_loop_with_ties():
    rng = np.random.default_rng(0)
    user, item = rng.integers(6, size=200), rng.integers(9, size=200)
    time = rng.integers(40, size=200)
    rating = rng.integers(1, 11, size=200) / 2
    check_as_of(user, item, time, rating, np.arange(200))


def check_as_of(user, item, time, rating, rows):
    train = per_user_last_fraction(user, time, 0.2) == TRAIN
    fast = as_of(user, item, time, rating, train)
    level_of_row = [own_level(user, time, rating, train, r) for r in range(len(user))]
    for r in rows:
        past = train & (time < time[r])
        likes = rating >= 4
        p = ((past & likes).sum() + 1) / (past.sum() + 2)
        for name, group, k in (("user", user, 5), ("item", item, 10)):
            mine = past & (group == group[r])
            mean = ((mine & likes).sum() + k * p) / (mine.sum() + k)
            assert fast[f"{name}_mean"][r] == pytest.approx(mean, rel=1e-6)
            assert fast[f"{name}_count"][r] == pytest.approx(np.log(1 + mine.sum()))
        assert fast["user_rating"][r] == pytest.approx(level_of_row[r], rel=1e-6)
        raters = np.flatnonzero(past & (item == item[r]))
        gap = sum(rating[q] - level_of_row[q] for q in raters) / (len(raters) + 5)
        assert fast["item_gap"][r] == pytest.approx(gap, rel=1e-5, abs=1e-6)


def own_level(user, time, rating, train, r):
    past = train & (time < time[r])
    mine = past & (user == user[r])
    level = (rating[past].sum() + 3.5) / (past.sum() + 1)
    return (rating[mine].sum() + 3 * level) / (mine.sum() + 3)


def test_test_ratings_never_reach_a_feature():
    user, item = np.repeat([1, 2], 10), np.tile(np.arange(10), 2)
    time, rating = np.tile(np.arange(10), 2), np.ones(20)
    train = per_user_last_fraction(user, time, 0.2) == TRAIN
    changed = np.where(train, rating, 5.0)
    before, after = (as_of(user, item, time, r, train) for r in (rating, changed))
    assert all((before[name] == after[name]).all() for name in before)


def test_bar_by_hand(source, tmp_path):
    result = bar(convert(source, tmp_path / "out"))
    # Each user's 10 ratings are 6 moments (movies 1 | 2 3 | 4 5 | 6 7 | 8 9 | 10);
    # floor(0.8 * 6) = 4 train, so movies 8, 9 and 10 of each user are the test.
    # Nobody rated these in training: their smoothed means are all equal.
    assert result["rows"] == 9
    assert result["auc_item_mean"] == 0.5
    # rating = 1 + (user + movie) % 5, a like from 4 on. Likes among movies 1 to 7:
    # user 1: movies 2 3 7, user 2: 1 2 6 7, user 3: 1 5 6; so user 2's mean is the
    # higher one and users 1 and 3 tie. Likes of the test: movie 8 of user 1, none of
    # user 2, movie 10 of user 3. Of 2 * 7 pairs, the 2 * 3 with user 2 are wrong, the
    # 2 * 4 with users 1 and 3 are ties: AUC = 4 / 14. Within a user all is a tie.
    assert result["auc_user_mean"] == pytest.approx(4 / 14)
    assert result["auc"] == pytest.approx(4 / 14)
    assert result["gauc"] == 0.5


def test_reduced_size_is_reproducible_and_complete(source, tmp_path):
    one, two = (convert(source, tmp_path / n, users=2, seed=1) for n in ("a", "b"))
    table = pq.read_table(one / "impressions.parquet")
    assert len(set(table["userId"].to_pylist())) == 2
    files = read_manifest(one)["files"]
    assert files == read_manifest(two)["files"]
    assert pq.read_metadata(one / "items.parquet").num_rows == 10
    with pytest.raises(TfmmError, match="users=9"):
        convert(source, tmp_path / "c", users=9)


@pytest.mark.parametrize("name", [*FILES, "posters.zip"])
def test_a_missing_file_is_named(source, tmp_path, name):
    (source / name).unlink()
    with pytest.raises(TfmmError, match=name.split("/")[-1]) as error:
        convert(source, tmp_path / "out")
    assert "Received" in str(error.value)
    assert not (tmp_path / "out").exists()


def test_a_missing_column_and_a_wrong_type_are_named(source, tmp_path):
    path = source / "ml-latest-small/ratings.csv"
    path.write_text("userId,movieId,stars,timestamp\n1,1,5,100\n")
    with pytest.raises(TfmmError, match=r"ratings.csv.*no column `rating`.*stars"):
        convert(source, tmp_path / "out")
    path.write_text("userId,movieId,rating,timestamp\n1,1,good,100\n")
    with pytest.raises(TfmmError, match=r"ratings.csv.*rating \(double\).*good"):
        convert(source, tmp_path / "out")
    path.write_text("")
    with pytest.raises(TfmmError, match=r"ratings.csv.*cannot be read"):
        convert(source, tmp_path / "out")


def test_a_broken_zip_file_is_named(source, tmp_path):
    (source / "posters.zip").write_bytes(b"PK no zip file")
    with pytest.raises(TfmmError, match=r"posters.zip.*cannot be read"):
        convert(source, tmp_path / "out")


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    return convert(REAL, tmp_path_factory.mktemp("movielens") / "out")


@needs_data
def test_all_ratings_movies_and_posters(real):
    manifest = read_manifest(real, kind="movielens")
    written = manifest["counts"]["written"]
    assert written["impressions"] == manifest["counts"]["read"] == 100_004
    assert written["items"] == 9_125
    assert manifest["posters"]["written"] == 7_057
    schema = Schema.from_yaml(real / "schema.yaml")
    assert schema.split.rule == "per_user_last_fraction"


@needs_data
def test_the_bar_is_where_the_data_say(real):
    assert bar(real, with_poster_only=True)["auc"] == pytest.approx(0.775, abs=0.005)
    assert bar(real)["auc"] == pytest.approx(0.775, abs=0.005)


@needs_data
def test_real_as_of_features_equal_a_slow_loop(real):
    table = pq.read_table(real / "impressions.parquet")
    user, item, time, click, mean = (
        table[n].to_numpy()
        for n in ("userId", "movieId", "timestamp", "click", "item_mean")
    )
    part = per_user_last_fraction(user, time, 0.2)
    train = part == TRAIN
    rng = np.random.default_rng(0)
    rows = np.concatenate(
        [rng.choice(len(user), 40), rng.choice(np.flatnonzero(part == TEST), 20)]
    )
    for r in rows:
        # A test rating knows all training ratings, a training rating the earlier ones.
        past = train & (time < time[r]) if train[r] else train
        mine = past & (item == item[r])
        p = (click[past].sum() + 1) / (past.sum() + 2)
        assert mean[r] == pytest.approx(
            (click[mine].sum() + 10 * p) / (mine.sum() + 10)
        )
