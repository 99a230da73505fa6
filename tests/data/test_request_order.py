"""The order of requests: once each, mixed, and the same from any place on."""

import numpy as np
import pytest
import timeline_folder as folders

from tfmm.data import request_order, requests
from tfmm.errors import TfmmError

USERS, EACH, BATCH = 12, 15, 16


@pytest.fixture
def small_pools(monkeypatch):
    """Pools of a few timelines, so that what is left of one joins the next."""
    monkeypatch.setattr(request_order, "_POOL_TIMELINES", 4)
    monkeypatch.setattr(request_order, "_POOL_BATCHES", 2)
    monkeypatch.setattr(request_order, "_RECORDS_IN_TURN", 1)


@pytest.fixture
def folder(tmp_path):
    """Timelines of 15 requests, of none and of 40."""
    lengths = [EACH] * USERS + [0, 40]
    made = [folders.timeline(user, n) for user, n in enumerate(lengths)]
    folders.write(tmp_path / "train", made)
    return tmp_path / "train"


def read(folder, **options):
    return requests(folder, folders.vocabularies(), BATCH, **options)


def arrays(dataset):
    return [{k: v.numpy() for k, v in batch.items()} for batch in dataset]


def keys(batches):
    return [
        (int(user), int(time))
        for batch in batches
        for user, time in zip(batch["user_key"], batch["time"], strict=True)
    ]


def same(ones, others):
    assert len(ones) == len(others)
    for one, other in zip(ones, others, strict=True):
        for name in one:
            np.testing.assert_array_equal(one[name], other[name])


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"shuffle": True},
        {"shuffle": True, "bucket": False},
        {"bucket": True, "few_shapes": True},
    ],
)
def test_every_request_once_whole_and_right(folder, small_pools, options):
    batches = arrays(read(folder, **options))
    total = USERS * EACH + 40
    assert [len(b["user"]) for b in batches] == [BATCH] * (total // BATCH) + [
        total % BATCH
    ]
    found = keys(batches)
    assert sorted(found) == sorted(
        (user, time + 1)
        for user, n in enumerate([EACH] * USERS + [0, 40])
        for time in range(n)
    )
    made = {user: folders.timeline(user, EACH) for user in range(USERS)}
    made[USERS + 1] = folders.timeline(USERS + 1, 40)
    for batch in batches:
        for i, (user, time) in enumerate(keys([batch])):
            record = made[user]
            cut, count = time - 1, int(record["request_items"][time - 1])
            begin = int(record["request_items"][: time - 1].sum())
            past = record["event_item"][max(0, cut - folders.LONGEST) : cut]
            assert batch["n_history"][i] == len(past)
            assert batch["history_item"][i, : len(past)].tolist() == past.tolist()
            assert not batch["history_item"][i, len(past) :].any()
            for name in ("item", "label_click", "candidate_price"):
                shown = record[name][begin : begin + count]
                assert batch[name][i, :count].tolist() == shown.tolist()
                assert not batch[name][i, count:].any()


@pytest.mark.slow
def test_from_any_place_the_same_batches(folder, small_pools):
    data = read(folder, shuffle=True, seed=5)
    epochs = [arrays(data) for _ in range(3)]
    assert keys(epochs[0]) != keys(epochs[1])
    length = len(data)
    step = int(np.random.default_rng().integers(1, length))
    again = data.at(1, step)
    same(arrays(again), epochs[1][step:])
    same(arrays(again), epochs[2])
    anew = read(folder, shuffle=True, seed=5, start_epoch=1, start_step=length)
    same(arrays(anew), epochs[2])
    assert len(anew) == length
    plain = read(folder)
    same(arrays(plain.at(7, step)), arrays(plain)[step:])


@pytest.mark.slow
def test_the_global_seed_of_tensorflow_does_not_count(folder):
    import tensorflow as tf

    orders = []
    for seed in (1, 2):
        tf.random.set_seed(seed)
        orders.append(keys(arrays(read(folder, shuffle=True))))
    assert orders[0] == orders[1]


@pytest.mark.slow
def test_buckets_spare_padding_and_still_mix_users(tmp_path):
    made = [folders.timeline(user, 12) for user in range(64)]
    folders.write(tmp_path / "train", made)
    padding, users = {}, {}
    for bucket in (False, True):
        batches = arrays(read(tmp_path / "train", shuffle=True, bucket=bucket))
        padding[bucket] = np.mean(
            [1 - b["n_history"].mean() / b["history_item"].shape[1] for b in batches]
        )
        users[bucket] = np.mean([len(set(b["user_key"])) for b in batches])
        moments = np.array([b["time"].mean() for b in batches])
        # Neither long nor short histories come first.
        assert abs(np.corrcoef(np.arange(len(moments)), moments)[0, 1]) < 0.5
    assert padding[True] < 0.1 < padding[False]
    assert users[True] > 0.8 * users[False] > 0.6 * BATCH


@pytest.mark.slow
def test_few_shapes_are_powers_of_two_or_the_maxima(folder):
    batches = arrays(read(folder, shuffle=True, few_shapes=True))
    assert {b["history_item"].shape[1] for b in batches} <= {1, 2, 4, 8}
    assert {b["item"].shape[1] for b in batches} <= {1, 2, 3}


def test_memory_is_bounded_at_a_thousand_behaviours():
    # 32 MiB of records: of 200 KB each, 167 timelines, were they ever so many.
    counts = {"timelines": 10**6, "requests": 2 * 10**8}
    assert request_order.pool_size(counts, 2 * 10**11, 256) == 167
    assert request_order.pool_size({"requests": 10**6}, 12 * 10**9, 10**5) == 2796
    assert request_order.pool_size({"requests": 1}, 10**9, 1) == 1


def test_what_checkpoints_compare(folder, tmp_path):
    facts = read(folder, shuffle=True, seed=3).facts
    assert facts["requests"] == USERS * EACH + 40
    assert (facts["batch_size"], facts["seed"]) == (BATCH, 3)
    folders.write(tmp_path / "other", [folders.timeline(1, 3)])
    assert read(tmp_path / "other").facts["files"] != facts["files"]


@pytest.mark.parametrize("option", [{"start_epoch": -1}, {"start_step": -2}])
def test_numbers_out_of_range_are_refused(folder, option):
    with pytest.raises(TfmmError, match=r"count from 0\. Received: batch_size=16"):
        read(folder, **option)
