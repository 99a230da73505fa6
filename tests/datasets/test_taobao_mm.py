"""The Taobao-MM reader, on made-up files in both layouts and on the public sample."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from benchmarks.taobao_mm_data import Size, write
from tfmm.catalog import Catalog
from tfmm.datasets.taobao_mm import TaobaoMM
from tfmm.datasets.taobao_mm_columns import Share, clicks, integers, lists
from tfmm.datasets.taobao_mm_files import ITEM_FEATURES, find_files, read
from tfmm.datasets.taobao_mm_users import Reading
from tfmm.errors import TfmmError
from tfmm.records.example import decode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest
from tfmm.records.tfrecord import read_records
from tfmm.records.vocabularies import Vocabularies

ROOT = Path(__file__).parents[2]
DEMO = Path(os.environ.get("TFMM_DATA", ROOT / "../shared/data")) / "taobao_mm_demo"
needs_data = pytest.mark.skipif(
    not DEMO.is_dir(), reason=f"needs taobao_mm_demo below TFMM_DATA, not at {DEMO}"
)
SIZE = Size(users=300, items=400, history=60)


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write(tmp_path_factory.mktemp("taobao") / "taobao_mm", SIZE)


@pytest.fixture(scope="module")
def converted(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("taobao_out")
    TaobaoMM(source).convert(folder)
    return folder


@pytest.fixture(scope="module")
def shards(source, tmp_path_factory):
    """The same data set without the raw tables of users and items."""
    folder = tmp_path_factory.mktemp("shards")
    for part in ("train", "test"):
        (folder / part).symlink_to(source / part)
    (folder / "raw").mkdir()
    name = "scl_embedding_int8_p90.parquet"
    (folder / "raw" / name).symlink_to(source / "raw" / name)
    return folder


def timelines(folder, part):
    """user -> its decoded record; every user has one."""
    files = sorted((folder / "timelines" / part).glob("*.tfrecord"))
    found = [decode(record) for path in files for record in read_records(path)]
    by_user = {record["user"][0]: record for record in found}
    assert len(by_user) == len(found)
    return by_user


def expected(source, part):
    """user -> (history, categories, features, items, clicks), by a plain loop."""
    users = pq.read_table(source / "raw" / f"{part}_user_features.parquet").to_pylist()
    found = {u["129_1"]: (u, [], []) for u in users}
    for row in pq.read_table(source / "raw" / f"{part}_samples.parquet").to_pylist():
        found[row["129_1"]][1].append(row["205"])
        found[row["129_1"]][2].append(row["label_0"][1])
    return found


@pytest.mark.parametrize("part", ["train", "test"])
def test_timelines_equal_a_plain_loop(source, converted, part):
    index = ItemIndex.open(converted / "index")
    row = {int(item): place for place, item in enumerate(index.ids, 2)}
    found, wanted = timelines(converted, part), expected(source, part)
    assert found.keys() == wanted.keys()
    for user, (own, items, clicked) in wanted.items():
        record, length = found[user], len(own["150_2_180"])
        assert record["event_item"] == [row.get(x, 1) for x in own["150_2_180"]]
        assert record["event_type"] == [2] * length
        assert record["event_time"] == list(range(length))
        assert record["request_start"] == [0]
        assert record["request_time"] == record["request_cut"] == [length]
        assert record["request_items"] == [len(items)]
        assert record["item"] == [row[x] for x in items]
        assert record["label_click"] == clicked
        assert record["user_130_4"] == [str(own["130_4"]).encode()]


def test_both_layouts_give_the_same(converted, shards, tmp_path):
    assert find_files(shards).layout == "joined"
    TaobaoMM(shards).convert(tmp_path)
    for part in ("train", "test"):
        assert timelines(tmp_path, part) == timelines(converted, part)
    own, other = (
        Vocabularies.open(folder / "vocabularies") for folder in (tmp_path, converted)
    )
    assert (own.spec, own.values) == (other.spec, other.values)
    for name in ("embedding_row", "codes", "train_count"):
        np.testing.assert_array_equal(
            getattr(own.items, name), getattr(other.items, name)
        )


def test_the_index_has_what_was_shown_and_vectors_of_histories(source, converted):
    vectors = pq.read_table(source / "raw" / "scl_embedding_int8_p90.parquet")
    with_vector, shown, past = set(vectors["205"].to_pylist()), set(), set()
    for part in ("train", "test"):
        for user, items, _ in expected(source, part).values():
            shown.update(items)
            past.update(user["150_2_180"])
    ids = ItemIndex.open(converted / "index").ids
    assert set(map(int, ids)) == shown | past & with_vector
    facts = read_manifest(converted / "input", kind="taobao_mm")
    events = [
        x
        for part in ("train", "test")
        for user, _, _ in expected(source, part).values()
        for x in user["150_2_180"]
    ]
    unknown = sum(x not in shown | with_vector for x in events)
    assert facts["unknown_events"] == unknown > 0


def test_codes_of_vectors_are_taken_over(source, converted):
    catalog = Catalog.open(converted / "catalog")
    table = pq.read_table(source / "raw" / "scl_embedding_int8_p90.parquet")
    rows = catalog.index.rows_of(table["205"].to_numpy())
    codes = np.array(table["205_c"].to_pylist(), np.int8)
    known = rows > 1
    vectors = catalog.modalities["scl"]
    np.testing.assert_array_equal(vectors.codes[rows[known]], codes[known])
    norm = np.linalg.norm(codes[known].astype(float), axis=1)
    np.testing.assert_allclose(vectors.inverse_norm[rows[known]], 1 / norm, rtol=1e-6)
    counts = read_manifest(converted / "catalog")["counts"]
    # One id stands twice in the file; two shown items have no vector.
    assert counts["dropped"]["repeated"] == 1
    assert counts["items_without_vector"] == 2
    assert counts["read"] == counts["written"] + sum(counts["dropped"].values())
    assert catalog.sources == {"scl": "taobao-mm-scl@int8-p90"}


def test_categories_come_from_the_table_and_from_events(source, converted):
    vocabularies = Vocabularies.open(converted / "vocabularies")
    index = ItemIndex.open(converted / "index")
    spec, values = vocabularies.spec, vocabularies.values
    assert [f.tensor for f in spec.of_scope("item")] == [
        f"item_{name}" for name in ITEM_FEATURES
    ]
    category = {}
    for part in ("train", "test"):
        for user, _, _ in expected(source, part).values():
            category |= dict(zip(user["150_2_180"], user["151_2_180"], strict=True))
    table = pq.read_table(source / "raw" / "item_features.parquet").to_pylist()
    category |= {row["205"]: row["206"] for row in table}
    city = {row["205"]: row["213"] for row in table}
    for row, item in enumerate(map(int, index.ids), 2):
        code, place, _ = vocabularies.items.codes[row].tolist()
        assert values["item_206"][code - 2] == str(category[item])
        if place:
            assert values["item_213"][place - 2] == str(city[item])


def test_only_training_counts(source, converted):
    vocabularies = Vocabularies.open(converted / "vocabularies")
    index = ItemIndex.open(converted / "index")
    count = Counter()
    train = expected(source, "train")
    for user, items, _ in train.values():
        count.update(items + user["150_2_180"])
    found = vocabularies.items.train_count[2:].tolist()
    assert found == [count[int(item)] for item in index.ids]
    assert vocabularies.values["user"] == [str(user) for user in sorted(train)]
    longest = max(len(items) for _, items, _ in train.values())
    assert vocabularies.spec.max_items >= longest
    assert vocabularies.spec.max_history == 1000


def test_a_share_of_users_is_that_of_the_reruns(source, converted, tmp_path):
    TaobaoMM(source, users_fraction=0.1).convert(tmp_path)
    for part in ("train", "test"):
        found, full = timelines(tmp_path, part), timelines(converted, part)
        assert found.keys() == {u for u in full if (u & (2**63 - 1)) % 10 == 0}
    manifest = read_manifest(tmp_path / "timelines")
    counts = manifest["counts"]
    assert counts["dropped"]["other_users"] > 0
    assert counts["read"] == counts["written"] + sum(counts["dropped"].values())
    assert counts["written"] == sum(
        p["impressions"] for p in manifest["parts"].values()
    )


def test_long_requests_and_long_histories_are_cut(source, tmp_path):
    TaobaoMM(source, max_history=20, max_items=5, min_count=30).convert(tmp_path)
    found = timelines(tmp_path, "test")
    for user, (own, items, clicked) in expected(source, "test").items():
        record = found[user]
        assert len(record["event_item"]) == min(20, len(own["150_2_180"]))
        # Fives and the rest: no row is lost, all follow the same history.
        full, rest = divmod(len(items), 5)
        assert record["request_items"] == [5] * full + [rest] * (rest > 0)
        assert set(record["request_cut"]) == {len(record["event_item"])}
        assert record["label_click"] == clicked
    items = Vocabularies.open(tmp_path / "vocabularies").items
    assert ((items.embedding_row > 1) == (items.train_count >= 30))[2:].all()


def rewrite(path, **columns):
    table = pq.read_table(path)
    for name, values in columns.items():
        place = table.column_names.index(name)
        table = table.set_column(place, name, pa.array(values, table[name].type))
    pq.write_table(table, path, row_group_size=50)


@pytest.fixture
def small(tmp_path):
    return write(tmp_path / "small", Size(users=30, items=50, history=8))


def test_every_drop_is_counted_by_its_reason(small, tmp_path):
    samples = small / "raw" / "train_samples.parquet"
    table = pq.read_table(samples)
    n = len(table)
    users, items = table["129_1"].to_pylist(), table["205"].to_pylist()
    labels = table["label_0"].to_pylist()
    labels[0], labels[1], labels[2] = [1, 1], None, [0, 1, 0]
    items[3], items[4] = None, 0
    users[5], users[6] = 0, 12345  # The second has no features.
    rewrite(samples, label_0=labels, **{"129_1": users, "205": items})
    features = small / "raw" / "train_user_features.parquet"
    table = pq.read_table(features)
    rows = table.to_pylist()
    short = len(rows[0]["150_2_180"]) > 1 and rows[0]["151_2_180"].pop() and 1
    rows[1]["150_2_180"] = rows[1]["151_2_180"] = None
    rows[2]["150_2_180"] = [0] * len(rows[2]["150_2_180"])
    zeros = len(rows[2]["150_2_180"])
    rows += [dict(rows[3]), {**rows[3], "129_1": 777}]  # Twice; without samples.
    pq.write_table(pa.Table.from_pylist(rows, table.schema), features)
    train = TaobaoMM(small).convert(tmp_path / "out")["source"]["train"]
    assert train["rows"]["dropped"] == {
        "no_user": 1,
        "other_users": 0,
        "no_item": 2,
        "label_not_one_hot": 3,
        "without_user_features": 1,
    }
    assert (train["rows"]["read"], train["rows"]["written"]) == (n, n - 7)
    assert train["users"]["dropped"] == {"without_samples": 1, "repeated": 1}
    assert train["users"]["categories_of_other_length"] == short
    assert train["events"]["dropped"]["no_item"] == zeros
    assert train["users"]["without_history"] >= 2
    assert train["users"]["written"] == 30


def test_a_user_is_merged_within_the_window_and_counted_beyond_it(small, tmp_path):
    (path,) = (small / "train").glob("*.parquet")
    table = pq.read_table(path)
    rows = np.arange(len(table))
    user = table["129_1"].to_numpy()
    own = rows[user == user[0]]
    # Of the first user's rows the last stands at the end of the file.
    order = np.r_[own[:-1], rows[user != user[0]], own[-1]]
    pq.write_table(table.take(pa.array(order)), path, row_group_size=20)
    (small / "raw" / "item_features.parquet").unlink()
    for window, split in ((100, 0), (3, 1)):
        counts = Counter()
        files = find_files(small)
        reading = Reading(files, Share(1.0), 1000, tmp_path, window=window, rows=40)
        found = list(reading.users("train", counts))
        assert counts["users:split"] == split
        assert len(found) == 30 + split
        assert sum(len(one.shown) for one in found) == len(table)
        first = [one for one in found if one.user == user[0]]
        shown = np.concatenate([one.shown for one in first]).tolist()
        assert shown == table["205"].to_numpy()[own].tolist()


@pytest.mark.parametrize("fraction", [0, -0.1, 1.5, 0.3])
def test_a_share_that_is_no_whole_part_is_refused(fraction):
    with pytest.raises(TfmmError, match=r"users_fraction.*Give 1, 0.1 or 0.01"):
        TaobaoMM("anywhere", users_fraction=fraction).share  # noqa: B018


def test_missing_files_are_named(small, tmp_path):
    with pytest.raises(TfmmError, match=r"no complete copy.*train_samples.parquet"):
        find_files(tmp_path / "nowhere")
    (small / "raw" / "scl_embedding_int8_p90.parquet").unlink()
    with pytest.raises(TfmmError, match=r"no file.*scl_embedding_int8_p90"):
        find_files(small)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.drop_columns("205"), "no column '205'.*Received: label_0, 129_1"),
        (
            lambda t: t.set_column(1, "129_1", t["129_1"].cast(pa.string())),
            "'129_1'.*Expected: int64. Received: string",
        ),
        (
            lambda t: t.set_column(0, "label_0", pa.array([1] * len(t), pa.int8())),
            r"'label_0'.*Expected: list<int8>. Received: int8",
        ),
    ],
)
def test_wrong_columns_are_named(small, tmp_path, change, message):
    path = small / "raw" / "test_samples.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(TfmmError, match=message):
        TaobaoMM(small).convert(tmp_path / "out")
    assert not (tmp_path / "out" / "timelines").exists()


def test_a_damaged_file_is_named(small, tmp_path):
    path = small / "raw" / "train_user_features.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(TfmmError, match=r"train_user_features.*cannot be read"):
        TaobaoMM(small).convert(tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())


def test_tables_that_do_not_join_are_refused(small, tmp_path):
    for part in ("train", "test"):
        path = small / "raw" / f"{part}_samples.parquet"
        users = pq.read_table(path)["129_1"]
        rewrite(path, **{"129_1": pc.add(users, 1).to_pylist()})
    with pytest.raises(TfmmError, match=r"No user.*is left in train"):
        TaobaoMM(small).convert(tmp_path / "out")


@needs_data
def test_the_public_sample_has_the_layout():
    files = find_files(DEMO)
    assert files.layout == "raw"
    for part in ("train", "test"):
        columns = ["label_0", "129_1", "205"]
        (batch,) = read(files.samples[part], columns, 100)
        # [1, 0] is no click: of 20 shown items 1 is clicked, as 13.7% of all are.
        assert clicks(batch).sum() == {"train": 0, "test": 1}[part]
        assert (integers(batch, "129_1") != 0).all()
        (batch,) = read(files.users[part], ["150_2_180", "151_2_180"], 100)
        for name in ("150_2_180", "151_2_180"):
            _, starts = lists(batch.column(batch.schema.get_field_index(name)))
            lengths = np.diff(starts)
            assert lengths.max() == 1000 and lengths.min() in (351, 1000)
    (batch,) = read((files.vectors,), ["205", "205_c"], 100)
    values, starts = lists(batch.column(1))
    assert set(np.diff(starts).tolist()) == {128}
    norm = np.linalg.norm(values.reshape(-1, 128).astype(float), axis=1)
    assert np.abs(norm - 122.65).max() < 2


@needs_data
def test_the_public_sample_says_that_its_tables_do_not_join(tmp_path):
    with pytest.raises(TfmmError, match="'without_samples': 10"):
        TaobaoMM(DEMO).convert(tmp_path / "out")


@needs_data
def test_the_public_sample_joined_by_hand(tmp_path):
    raw = tmp_path / "joined" / "raw"
    raw.mkdir(parents=True)
    for path in DEMO.glob("*.parquet"):
        (raw / path.name).write_bytes(path.read_bytes())
    vectors = pq.read_table(raw / "scl_embedding_int8_p90.parquet")
    for part in ("train", "test"):
        users = pq.read_table(raw / f"{part}_user_features.parquet")["129_1"]
        items = vectors["205"].to_pylist()
        rewrite(raw / f"{part}_samples.parquet", **{"129_1": users, "205": items})
    manifest = TaobaoMM(tmp_path / "joined").convert(tmp_path / "out")
    assert {k: p["positives"] for k, p in manifest["parts"].items()} == {
        "train": 0,
        "test": 1,
    }
    assert manifest["counts"]["written"] == 20
    catalog = Catalog.open(tmp_path / "out" / "catalog")
    assert catalog.modalities["scl"].present.sum() == 10
    record = timelines(tmp_path / "out", "test")[-1001154915799468782]
    assert len(record["event_item"]) == 351
