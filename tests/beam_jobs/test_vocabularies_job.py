import numpy as np
import pytest
import shop

from tfmm.identity import user_key
from tfmm.records.index import ItemIndex
from tfmm.records.vocabularies import Vocabularies


def test_vocabularies_by_hand(hand_made):
    """Training is r1, r2, r4 and the events before 300; the minimum is 2."""
    _, out, manifests = hand_made
    found = Vocabularies.open(out / "vocabularies", ItemIndex.open(out / "index"))
    # Rows a..e. Shown: a 2, b 2, c 1. Behaved: a 1, b 1, c 2. d, e: in the test only.
    assert found.items.train_count.tolist() == [0, 0, 3, 3, 3, 0, 0]
    assert found.items.embedding_row.tolist() == [0, 1, 2, 3, 4, 1, 1]
    assert found.values == {
        "user": [str(user_key("u1", shop.KEY))],  # u2 has one impression
        "user_age": [],
        "context_hour": ["9"],
        "item_color": ["red"],  # a and b occur 6 times; c has none
    }
    assert found.items.codes.tolist() == [[0], [0], [2], [2], [0], [0], [0]]
    assert found.items.numbers.ravel().tolist() == [0, 0, 1.5, 0, 3, 0, 0]
    spec = found.spec
    assert (spec.users, spec.items, spec.rows) == (3, 5, 7)
    assert spec.event_types == ("cart", "click", "view")
    assert (spec.max_history, spec.max_items, spec.position) == (2, 2, True)
    assert manifests["vocabularies"]["counts"]["dropped"] == {"under_min_count": 2}
    spread = {f.tensor: (f.mean, f.deviation) for f in spec.features}
    # Discounts .1 .2 .3 .4 and one missing, as 0: s = log(1 + x).
    s = np.log1p([0.1, 0.2, 0.3, 0.4, 0])
    assert spread["candidate_discount"] == pytest.approx((s.mean(), s.std()), rel=1e-4)
    # Prices 1.5, missing, 3 of a, b, c, each three times in training.
    s = np.log1p([1.5, 0, 3])
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
    manifest = vocabularies.run(
        str(schema), str(tmp_path / "index"), str(output), str(tmp_path / "key")
    )
    assert shop.letters(output) == [("items.parquet", 2, "price", "not_number")]
    assert manifest["counts"]["dead_letters"] == 1
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
