import collections

import pytest
import tensorflow as tf
from pair_folders import Letters, Pixels, example, jpeg, pair, write

from tfmm.data.item_batches import items
from tfmm.data.pair_batches import pairs
from tfmm.errors import TfmmError


@pytest.fixture
def item_folder(tmp_path):
    """Rows 2, 3, 4 and 6; row 3 lacks its picture, row 4 its title."""
    records = [
        example(row=6, item_id=b"f", title=b"ff", image=jpeg(60)),
        example(row=2, item_id=b"b", title=b"bb", image=jpeg(20)),
        example(row=3, item_id=b"c", title=b"cc", image=b""),
        example(row=4, item_id=b"d", title=b"", image=jpeg(40)),
    ]
    return write(tmp_path / "items", [records[:1], records[1:]], "items")


def test_joins_items_by_row(tmp_path, item_folder):
    folder = write(
        tmp_path / "pairs",
        [
            [
                pair(6, [3], text=b"qq"),
                pair(3, [4], image=jpeg(99)),
                pair(9, [], text=b"zz", image=jpeg(7)),  # Only the log knows item 9.
            ]
        ],
    )
    data = pairs(folder, item_folder, Pixels(), Letters(), batch_size=8, shuffle=False)
    (batch,) = [
        {name: value.numpy().tolist() for name, value in batch.items()}
        for batch in data
    ]
    assert batch["item"] == [6, 3, 9]
    assert batch["negative"] == [3, 4, 0]
    assert batch["has_query_image"] == [False, True, True]
    assert batch["has_query_text"] == [True, False, True]
    assert batch["has_item_image"] == [True, False, False]
    assert batch["has_item_text"] == [True, True, False]
    assert batch["has_negative_image"] == [False, True, False]
    assert batch["has_negative_text"] == [True, False, False]
    assert batch["query_image"][1][0][0] == [99, 99, 99]
    assert batch["item_image"][0][0][0] == [60, 60, 60]
    assert batch["negative_image"][1][0][0] == [40, 40, 40]
    assert batch["item_text"] == [[102, 102], [99, 99], [0, 0]]
    assert batch["query_text"][0] == [113, 113]
    assert data.num_pairs == 3


def test_a_batch_without_any_picture_keeps_its_shape(tmp_path, item_folder):
    folder = write(tmp_path / "pairs", [[pair(3, text=b"q")] * 2])
    (batch,) = pairs(folder, item_folder, Pixels(), batch_size=2)
    assert batch["query_image"].shape == (2, 1, 1, 3)
    assert not batch["has_item_image"].numpy().any()
    assert "query_text" not in batch


def test_unreadable_media_are_absent(tmp_path, item_folder):
    folder = write(tmp_path / "pairs", [[pair(6, image=b"no jpeg")]])
    (batch,) = pairs(folder, item_folder, Pixels())
    assert not batch["has_query_image"].numpy()[0]
    assert batch["has_item_image"].numpy()[0]


def epochs(data, count):
    return [
        [int(item) for batch in data for item in batch["item"]] for _ in range(count)
    ]


@pytest.mark.slow
def test_order_is_a_function_of_seed_and_epoch(tmp_path, item_folder):
    shards = [[pair(100 * shard + i) for i in range(30)] for shard in range(3)]
    folder = write(tmp_path / "pairs", shards)

    def read(**options):
        return pairs(folder, item_folder, text=Letters(), batch_size=7, **options)

    first, second = epochs(read(seed=1), 2)
    assert sorted(first) == sorted(second) == sorted(epochs(read(shuffle=False), 1)[0])
    assert first != second
    tf.random.set_seed(5)
    assert epochs(read(seed=1), 2) == [first, second]
    assert epochs(read(seed=1, start_epoch=1), 1) == [second]
    assert epochs(read(seed=2), 1) != [first]
    windows = epochs(read(seed=1, window=4), 2)
    assert sorted(windows[0]) == sorted(first) and windows[0] != windows[1]


def test_cardinality_and_remainder(tmp_path, item_folder):
    folder = write(tmp_path / "pairs", [[pair(2)] * 10])
    for drop, sizes in ((False, [4, 4, 2]), (True, [4, 4])):
        data = pairs(
            folder, item_folder, text=Letters(), batch_size=4, drop_remainder=drop
        )
        assert int(data.cardinality()) == len(sizes)
        assert [len(batch["item"]) for batch in data] == sizes


def test_each_epoch_draws_a_negative_evenly(tmp_path, item_folder):
    records = [pair(6, [2, 3, 4]), pair(2, []), pair(4, [6])] * 60
    folder = write(tmp_path / "pairs", [records])
    data = pairs(folder, item_folder, text=Letters(), batch_size=32)
    drawn = collections.defaultdict(collections.Counter)
    for batch in data:
        for item, negative in zip(batch["item"], batch["negative"], strict=True):
            drawn[int(item)][int(negative)] += 1
    assert set(drawn[6]) == {2, 3, 4} and min(drawn[6].values()) > 8
    assert dict(drawn[2]) == {0: 60} and dict(drawn[4]) == {6: 60}
    still = pairs(folder, item_folder, text=Letters(), shuffle=False)
    (one,), (two,) = still, still
    assert one["negative"].numpy().tolist() == two["negative"].numpy().tolist()


def test_augmentation_sees_every_epoch_another_seed(tmp_path, item_folder):
    folder = write(tmp_path / "pairs", [[pair(2, image=jpeg(50))] * 4])

    def noise(pictures, seed):
        random = tf.random.stateless_uniform(tf.shape(pictures), seed, 0, 99, tf.int32)
        return tf.cast(random, tf.uint8)

    data = pairs(folder, item_folder, Pixels(), augment=noise)
    (one,), (two,) = data, data
    assert (one["query_image"].numpy() != two["query_image"].numpy()).any()


def test_items_in_record_order(item_folder):
    one, two = items(item_folder, Pixels(), Letters(), batch_size=3)
    assert one["row"].numpy().tolist() == [6, 2, 3] and two["row"].numpy() == [4]
    assert one["has_item_image"].numpy().tolist() == [True, True, False]
    assert one["item_image"].numpy()[:2, 0, 0, 0].tolist() == [60, 20]
    assert two["has_item_text"].numpy().tolist() == [False]


def test_errors(tmp_path, item_folder):
    good = write(tmp_path / "good", [[pair(2)]])
    with pytest.raises(TfmmError, match="An encoder is needed"):
        pairs(good, item_folder)
    with pytest.raises(TfmmError, match="of that modality"):
        pairs(good, item_folder, image=Letters())
    with pytest.raises(TfmmError, match="holds no pairs"):
        pairs(write(tmp_path / "none", [[]]), item_folder, text=Letters())
    with pytest.raises(TfmmError, match="batch_size=0"):
        pairs(good, item_folder, text=Letters(), batch_size=0)
    other = write(tmp_path / "other", [[pair(2)]], lineage="b")
    with pytest.raises(TfmmError, match="different item indexes"):
        pairs(other, item_folder, text=Letters())
    stray = write(tmp_path / "stray", [[pair(2)]], lineage="")
    with pytest.raises(TfmmError, match=r"stray` does not say .* Write it again"):
        pairs(stray, item_folder, text=Letters())
    unknown = write(tmp_path / "unknown", [[example(row=2)]], "items", lineage=None)
    with pytest.raises(TfmmError, match="unknown` does not say"):
        pairs(good, unknown, text=Letters())
    bare = tmp_path / "bare"
    bare.mkdir()
    with pytest.raises(TfmmError, match=r"no manifest\.json"):
        pairs(bare, item_folder, text=Letters())
    with pytest.raises(TfmmError, match="no readable item records"):
        pairs(good, write(tmp_path / "odd", [[b"nonsense"]], "items"), text=Letters())
