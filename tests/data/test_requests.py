import numpy as np
import pytest
import shop

from tfmm.errors import TfmmError
from tfmm.identity import user_key
from tfmm.records.index import ItemIndex
from tfmm.records.vocabularies import Vocabularies

S = 1_000_000
U1, U2 = user_key("u1", shop.KEY), user_key("u2", shop.KEY)


def batches(built, part, vocabularies=None, **options):
    from tfmm.data import requests

    _, out, _ = built
    found = vocabularies or Vocabularies.open(out / "vocabularies")
    return requests(out / "timelines" / part, found, **options)


def lists(batch):
    return {name: tensor.numpy().tolist() for name, tensor in batch.items()}


def test_the_test_request_by_hand(hand_made):
    (batch,) = batches(hand_made, "test", batch_size=4)
    assert lists(batch) == {
        "user": [2],
        "user_key": [U1],
        "time": [300 * S],
        "n_history": [2],
        "history_item": [[3, 4]],  # of four events the newest two: b, c
        "history_type": [[3, 4]],  # click, view
        "n_items": [1],
        "item": [[5]],  # no wider than the batch's longest request
        "label_click": [[0.0]],
        "position": [[1]],
        "candidate_discount": [[0.5]],
        "context_hour": [1],  # 10 is unknown in training
        "user_age": [1],  # 30 is rare in training
        "user_income": [2.5],
    }


@pytest.mark.slow
def test_training_requests_by_hand(hand_made):
    (batch,) = batches(hand_made, "train", batch_size=4)
    found = lists(batch)
    order = np.argsort(found["time"])
    found = {name: [values[i] for i in order] for name, values in found.items()}
    assert found == {
        "user": [2, 2, 1],  # u2 is rare
        "user_key": [U1, U1, U2],
        "time": [100 * S, 200 * S, 250 * S],
        "n_history": [0, 2, 0],
        "history_item": [[0, 0], [2, 4], [0, 0]],
        "history_type": [[0, 0], [3, 2], [0, 0]],
        "n_items": [2, 2, 1],
        "item": [[2, 3], [4, 3], [2, 0]],
        "label_click": [[1.0, 0.0], [0.0, 1.0], [0.0, 0.0]],
        "position": [[1, 2], [1, 2], [1, 0]],
        "candidate_discount": np.float32([[0.1, 0.2], [0.4, 0.3], [0, 0]]).tolist(),
        "context_hour": [2, 2, 0],  # u2's is missing
        "user_age": [1, 1, 0],  # u2 is not in the users table
        "user_income": [2.5, 2.5, 0.0],
    }


@pytest.mark.slow
def test_types_and_shapes(simulated):
    dataset = batches(simulated, "train", batch_size=7)
    for batch in dataset:
        n, m = batch["n_items"].numpy(), batch["n_history"].numpy()
        for name, tensor in batch.items():
            wide = name.startswith("history_")
            width = [max(1, m.max())] if wide else [n.max()]
            flat = name.startswith(("user", "context_", "n_", "time"))
            assert tensor.shape[1:].as_list() == ([] if flat else width), name
            wanted = "int64" if name in ("user_key", "time") else ("int32", "float32")
            assert tensor.dtype.name in wanted, name
        beyond = np.arange(n.max()) >= n[:, None]
        assert (batch["item"].numpy()[beyond] == 0).all()
        assert (batch["item"].numpy()[~beyond] > 0).all()
        beyond = np.arange(max(1, m.max())) >= m[:, None]
        assert (batch["history_item"].numpy()[beyond] == 0).all()
        assert (batch["history_item"].numpy()[~beyond] > 0).all()


def keys(dataset):
    """What identifies every request, in the order of an epoch."""
    return [
        (user, time, *items[:count])
        for batch in dataset
        for user, time, items, count in zip(
            batch["user_key"].numpy().tolist(),
            batch["time"].numpy().tolist(),
            batch["item"].numpy().tolist(),
            batch["n_items"].numpy().tolist(),
            strict=True,
        )
    ]


@pytest.mark.slow
def test_every_request_once_an_epoch_in_an_order_of_the_seed(simulated):
    plain = keys(batches(simulated, "train", batch_size=32))
    expected = simulated[2]["timelines"]["parts"]["train"]["requests"]
    assert len(plain) == expected == len(set(plain))
    shuffled = batches(simulated, "train", batch_size=32, shuffle=True, seed=1)
    assert len(shuffled) == -(-expected // 32)
    first, second = keys(shuffled), keys(shuffled)
    assert sorted(first) == sorted(second) == sorted(plain)
    assert first != plain and first != second
    again = batches(simulated, "train", batch_size=32, shuffle=True, seed=1)
    assert [keys(again), keys(again)] == [first, second]
    other = keys(batches(simulated, "train", batch_size=32, shuffle=True, seed=2))
    assert sorted(other) == sorted(plain) and other != first


@pytest.mark.slow
def test_histories_are_what_the_log_says(simulated):
    """From the raw tables, in plain Python, for every test request."""
    import pyarrow.parquet as pq

    schema, out, _ = simulated
    index = ItemIndex.open(out / "index")
    found = Vocabularies.open(out / "vocabularies")
    codes = {name: i + 2 for i, name in enumerate(found.spec.event_types)}
    tables = {
        name: pq.read_table(schema.parent / f"{name}.parquet").to_pylist()
        for name in ("impressions", "events")
    }
    events = {}
    for row in tables["impressions"]:
        if row["click"] == 1:
            events.setdefault(row["user_id"], set()).add(event_of(row, "click"))
    for row in (row for row in tables["events"] if row["time"]):
        events.setdefault(row["user_id"], set()).add(event_of(row, row["type"]))
    users = {user_key(user, shop.KEY): user for user in events}
    checked = 0
    for batch in batches(simulated, "test", found, batch_size=64):
        lengths = batch["n_history"].numpy().tolist()
        for i, (key, time) in enumerate(
            zip(batch["user_key"].numpy(), batch["time"].numpy(), strict=True)
        ):
            past = [e for e in events.get(users.get(int(key)), ()) if e[0] < time]
            past = sorted(
                (t, codes[kind], index.rows_of([item])[0]) for t, kind, item in past
            )
            past = past[-found.spec.max_history :]
            n = lengths[i]
            items = batch["history_item"].numpy()[i, :n].tolist()
            kinds = batch["history_type"].numpy()[i, :n].tolist()
            assert items == [item for _, _, item in past]
            assert kinds == [kind for _, kind, _ in past]
            checked += n
    assert checked > 100


def event_of(row, kind):
    time = row["time"]
    if not isinstance(time, int):
        time = int(np.datetime64(time.replace(tzinfo=None), "us").astype(np.int64))
    else:
        time *= S
    return time, kind, str(row["item_id"])


def test_other_vocabularies_are_refused(hand_made, simulated, tmp_path):
    other = Vocabularies.open(simulated[1] / "vocabularies")
    with pytest.raises(TfmmError, match=r"other vocabularies.*request spec"):
        batches(hand_made, "train", other, batch_size=4)
    own = Vocabularies.open(hand_made[1] / "vocabularies")
    stamp = dict(own.index_stamp) | {"lineage": "another"}
    moved = Vocabularies(own.values, own.items, own.spec, stamp)
    with pytest.raises(TfmmError, match=r"other vocabularies.*item index"):
        batches(hand_made, "train", moved, batch_size=4)


def test_a_part_without_requests_is_refused(hand_made):
    with pytest.raises(TfmmError, match="has no requests"):
        batches(hand_made, "validation", batch_size=4)


def test_an_unfinished_folder_is_refused(hand_made, tmp_path):
    from tfmm.data import requests

    found = Vocabularies.open(hand_made[1] / "vocabularies")
    with pytest.raises(TfmmError, match="not a finished output"):
        requests(tmp_path, found, 4)
