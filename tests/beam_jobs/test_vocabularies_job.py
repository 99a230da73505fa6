import numpy as np
import pytest
import shop

from tfmm.identity import key_check, user_key
from tfmm.records.index import ItemIndex
from tfmm.records.vocabularies import Vocabularies


def test_vocabularies_by_hand(hand_made):
    """Training is r1, r2, r4 and the events before 300; the minimum is 2."""
    _, out, manifests = hand_made
    found = Vocabularies.open(out / "vocabularies", ItemIndex.open(out / "index"))
    # Rows a..e. Shown, clicked or not: a 2, b 2, c 1. Events: c 2. d, e: test only.
    assert found.items.train_count.tolist() == [0, 0, 2, 2, 3, 0, 0]
    assert found.items.embedding_row.tolist() == [0, 1, 2, 3, 4, 1, 1]
    assert found.values == {
        "user": [str(user_key("u1", shop.KEY))],  # u2 has one impression
        "user_age": [],
        "context_hour": ["9"],
        "item_color": ["red"],  # a and b occur 4 times; c has none
    }
    assert found.items.codes.tolist() == [[0], [0], [2], [2], [0], [0], [0]]
    assert found.items.numbers.ravel().tolist() == [0, 0, 1.5, 0, 3, 0, 0]
    spec = found.spec
    assert (spec.users, spec.items, spec.rows) == (3, 5, 7)
    assert spec.event_types == ("cart", "click", "view")
    assert (spec.max_history, spec.max_items, spec.position) == (2, 2, True)
    assert manifests["vocabularies"]["counts"]["dropped"] == {"under_min_count": 2}
    assert manifests["vocabularies"]["key_check"] == key_check(shop.KEY)
    spread = {f.tensor: (f.mean, f.deviation) for f in spec.features}
    # Discounts .1 .2 .3 .4 and one missing, as 0: s = log(1 + x).
    s = np.log1p([0.1, 0.2, 0.3, 0.4, 0])
    assert spread["candidate_discount"] == pytest.approx((s.mean(), s.std()), rel=1e-4)
    # Prices 1.5, missing, 3 of a, b, c: 2, 2 and 3 times in training.
    s = np.log1p([1.5, 1.5, 0, 0, 3, 3, 3])
    assert spread["item_price"] == pytest.approx((s.mean(), s.std()), rel=1e-4)
    # One user in training with an income: no spread, so the deviation is 1.
    assert spread["user_income"] == pytest.approx((np.log(3.5), 1), rel=1e-4)


def test_bad_rows_of_the_catalogue_are_dead_letters(tmp_path):
    items = {
        "id": ["a", "a", "b", "c", "newer"],
        "title": ["x"] * 5,
        "image": shop.pa.array([None] * 5, shop.pa.binary()),
        "color": ["blue", "red", "blue", "blue", "blue"],
        "price": ["1", "2", "cheap", "3", "4"],
    }
    schema = shop.write(tmp_path / "shop", shop.TABLES | {"items": items})
    ItemIndex.create(["a", "b", "c", "d", "e"]).save(tmp_path / "index")
    (tmp_path / "key").write_bytes(shop.KEY)
    from beam_jobs import vocabularies

    output = tmp_path / "vocabularies"
    vocabularies.run(
        str(schema), str(tmp_path / "index"), str(output), str(tmp_path / "key")
    )
    assert shop.letters(output) == [("items.parquet", 2, "price", "not_number")]
    found = Vocabularies.open(output)
    # Of a repeated id the first row counts; what the index lacks has no row.
    assert found.items.numbers.ravel().tolist() == [0, 0, 1, 0, 3, 0, 0]
    assert found.values["item_color"] == ["blue"]
    assert found.items.codes.ravel().tolist() == [0, 0, 2, 0, 2, 0, 0]


def test_only_training_counts(simulated):
    _, out, _ = simulated
    found = Vocabularies.open(out / "vocabularies")
    count = np.zeros(found.spec.rows, int)
    for record in shop.records(out / "timelines/train"):
        np.add.at(count, record["item"], 1)
    shown = found.items.train_count
    assert (shown[2:] >= count[2:]).all()
    assert (found.items.embedding_row[2:] > 1).sum() == (shown[2:] >= 2).sum()


def train_counts(folder, schema):
    from beam_jobs import item_index, vocabularies

    paths = [str(schema), str(folder / "index")]
    item_index.run(*paths)
    (folder / "key").write_bytes(shop.KEY)
    vocabularies.run(*paths, str(folder / "voc"), str(folder / "key"))
    found = Vocabularies.open(folder / "voc", ItemIndex.open(folder / "index"))
    return found.items.train_count.tolist()


@pytest.mark.slow
def test_the_label_never_changes_how_often_an_item_counts(tmp_path):
    """Clicks that the events table repeats are the impressions' own."""
    clicked = {"user": ["u1"] * 2, "item": ["a"] * 2, "time": [100, 100]}
    for name, labels, types in (
        ("none", [0] * 6, ["view", "cart"]),
        ("some", [1, 0, 1, 0, 0, 0], ["view", "cart"]),
        ("all", [1] * 6, ["view", "cart"]),
        ("logged twice", [1] * 6, ["click", "cart"]),
    ):
        tables = shop.changed("impressions", click=labels)
        tables |= {"events": clicked | {"type": types}}
        schema = shop.write(tmp_path / name / "shop", tables)
        # Rows a..d before 300: shown a 2, b 2, c 1; a has 2 events, or the cart alone.
        a = 3 if name == "logged twice" else 4
        assert train_counts(tmp_path / name, schema)[:5] == [0, 0, a, 2, 1], name


def test_empty_types_are_the_default_and_odd_values_dead_letters(tmp_path):
    events = {"user": ["u1"] * 3, "item": ["c"] * 3, "time": [200, 150, 160]}
    tables = shop.TABLES | {"events": events | {"type": ["", "ca\nrt", "view"]}}
    tables["impressions"] = tables["impressions"] | {
        "hour": ["9", "9", "9", "1\r0", "10", ""]
    }
    schema = shop.write(tmp_path / "shop", tables)
    timelines = shop.build(schema, tmp_path / "out")["timelines"]
    found = Vocabularies.open(tmp_path / "out/vocabularies")
    assert found.spec.event_types == ("click", "view")
    assert found.values["context_hour"] == ["9"]
    assert timelines["events"]["dropped"] == {"not_category": 1}
    assert timelines["counts"]["dropped"] == {"not_category": 1}
    assert shop.letters(tmp_path / "out/timelines") == [
        ("events.parquet", 1, "type", "not_category"),
        ("impressions.parquet", 3, "hour", "not_category"),
    ]


@pytest.mark.slow
def test_rare_values_have_hashed_codes_by_option(tmp_path):
    from tfmm.data import requests

    rule = {"min_count": 2, "hash_buckets": 50}
    schema = shop.write(tmp_path / "shop", vocabulary=rule)
    shop.build(schema, tmp_path / "out")
    found = Vocabularies.open(tmp_path / "out" / "vocabularies")
    sizes = {f.tensor: (f.size, f.hash_buckets) for f in found.spec.features if f.size}
    assert sizes == {
        "user_age": (52, 50),
        "context_hour": (53, 50),
        "item_color": (53, 50),
    }
    # As without hashing: only rare and new values have other codes.
    assert found.values["item_color"] == ["red"]
    assert found.items.codes.tolist() == [[0], [0], [2], [2], [0], [0], [0]]
    (batch,) = requests(tmp_path / "out" / "timelines" / "test", found, 8)
    # u1's age, 30, occurs once; the test's hour, 10, never in training.
    assert 2 <= batch["user_age"][0] < 52
    assert 3 <= batch["context_hour"][0] < 53
