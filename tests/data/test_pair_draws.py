"""Groups, sources, draws and resumption of pair batches."""

import collections

import numpy as np
import pytest
import tensorflow as tf
from pair_folders import Letters, Pixels, Words, example, jpeg, pair, write

from tfmm.data.pair_batches import pairs
from tfmm.errors import TfmmError
from tfmm.pretrain.augment import augment_pictures


@pytest.fixture
def item_folder(tmp_path):
    """2 and 3 share a picture, 3 and 5 are equivalent, 4 has three pictures."""
    records = [
        example(row=2, item_id=b"b", title=b"bb", image=jpeg(20), image_hash=b"x"),
        example(
            row=3,
            item_id=b"c",
            title=b"cc",
            image=jpeg(20),
            image_hash=b"x",
            equivalent=b"same",
        ),
        example(
            row=4,
            item_id=b"d",
            title=b"dd",
            image=jpeg(40),
            image_hash=b"y",
            more_images=[jpeg(140), jpeg(240)],
            more_titles=[b"DD"],
        ),
        example(row=5, item_id=b"e", title=b"ee", image=b"", equivalent=b"same"),
        example(row=6, item_id=b"f", title=b"", image=b"", more_images=[jpeg(90)]),
    ]
    return write(tmp_path / "items", [records], "items")


def numbers(batch):
    return {name: value.numpy().tolist() for name, value in batch.items()}


def test_sources_groups_and_further_positives(tmp_path, item_folder):
    folder = write(
        tmp_path / "pairs",
        [
            [
                pair(5, [3, 4], text=b"qq", positives=[2, 4, 9]),
                pair(4, [2, 5, 3], text=b"no", source=1, query_item=2),
                pair(4, source=2, query_item=4),
                pair(9, [4]),  # A record from before there were sources.
            ]
        ],
    )
    (batch,) = pairs(folder, item_folder, Pixels(), Letters(), shuffle=False)
    batch = numbers(batch)
    assert batch["source"] == [0, 1, 2, 0]
    assert batch["item"] == [5, 4, 4, 9] and batch["group"] == [2, 4, 4, 9]
    assert batch["query_group"] == [0, 2, 4, 0]
    # Of 5, item 2 is the group's own: no further one. 4 was bought, 3 is of the group.
    assert batch["positives"] == [[0, 4, 9], [0, 0, 0], [0, 0, 0], [0, 0, 0]]
    # All negatives of the second pair are of the group of the item clicked.
    assert batch["negative"] == [0, 0, 0, 4]
    assert batch["negative_group"] == [0, 0, 0, 4]
    q, b, d = ([ord(x)] * 2 for x in "qbd")
    assert batch["query_text"] == [q, b, d, [0, 0]]
    assert batch["has_query_text"] == [True, True, True, False]
    assert [p[0][0][0] for p in batch["query_image"]] == [0, 20, 40, 0]
    assert batch["has_query_image"] == [False, True, True, False]
    assert [p[0][0][0] for p in batch["item_image"]] == [0, 40, 40, 0]


def test_negatives_of_the_positives_group_are_never_drawn(tmp_path, item_folder):
    folder = write(tmp_path / "pairs", [[pair(2, [3, 4, 5, 6])] * 40])
    drawn = collections.Counter()
    data = pairs(folder, item_folder, text=Letters(), batch_size=8)
    for batch in data:
        drawn.update(batch["negative"].numpy().tolist())
    assert set(drawn) == {4, 6} and min(drawn.values()) > 8


def test_further_pictures_are_drawn_in_training_alone(tmp_path, item_folder):
    records = [pair(4, source=2, query_item=4), pair(6)] * 60
    folder = write(tmp_path / "pairs", [records])
    drawn = collections.defaultdict(collections.Counter)
    for batch in pairs(folder, item_folder, Pixels(), Letters(), batch_size=32):
        batch = numbers(batch)
        for item, image, text, query in zip(
            *(batch[x] for x in ("item", "item_image", "item_text", "query_image")),
            strict=True,
        ):
            drawn[item][image[0][0][0]] += 1
            if item == 4:
                drawn["text"][chr(text[0])] += 1
                assert query[0][0][0] == 40
    assert set(drawn[4]) == {40, 140, 240} and min(drawn[4].values()) > 8
    assert set(drawn["text"]) == {"d", "D"} and min(drawn["text"].values()) > 15
    assert dict(drawn[6]) == {90: 60}
    still = pairs(folder, item_folder, Pixels(), Letters(), shuffle=False)
    for batch in still:
        batch = numbers(batch)
        shown = {
            (item, image[0][0][0])
            for item, image in zip(batch["item"], batch["item_image"], strict=True)
        }
        # Item 6 has no picture of its own.
        assert shown == {(4, 40), (6, 0)}
        assert batch["has_item_image"] == [True, False] * 60


def same(one, other):
    assert len(one) == len(other)
    for ours, theirs in zip(one, other, strict=True):
        for name, value in ours.items():
            np.testing.assert_array_equal(value, theirs[name], err_msg=name)


@pytest.mark.slow
def test_resuming_gives_the_same_batches_bit_for_bit(tmp_path, item_folder):
    records = [
        pair(2 + i % 5, [2, 3, 4, 6], b"q r s t u v", jpeg(i), positives=[2 + i % 3])
        for i in range(22)
    ]
    folder = write(tmp_path / "pairs", [records[:9], records[9:]])
    options = {
        "image": Pixels(),
        "text": Words(),
        "batch_size": 4,
        "augment": augment_pictures,
        "mask_words": 0.4,
        "window": 7,
        "seed": 5,
    }
    data = pairs(folder, item_folder, **options)
    assert data.num_pairs == 22 and int(data.cardinality()) == 6
    epochs = [list(data) for _ in range(3)]
    resumed = data.at(1, 2)
    assert resumed.num_pairs == 22
    same(list(resumed), epochs[1][2:])
    same(list(resumed), epochs[2])  # Only the first epoch is cut short.
    tf.random.set_seed(9)
    again = pairs(folder, item_folder, start_epoch=1, start_step=5, **options)
    same(list(again), epochs[1][5:])
    same(list(data.at(1, 6)), epochs[2])  # The end of an epoch is the next one's start.
    same(list(data.at(0, 0)), epochs[0])
    still = pairs(folder, item_folder, shuffle=False, **options)
    same(list(still.at(4, 3)), list(still)[3:])
    with pytest.raises(TfmmError, match="start_step=-1"):
        pairs(folder, item_folder, text=Letters(), start_step=-1)


def test_words_are_masked_in_training_alone(tmp_path, item_folder):
    folder = write(tmp_path / "pairs", [[pair(2, [4], b"q r s t u v")] * 200])
    word = Words()
    data = pairs(folder, item_folder, text=word, mask_words=0.3, batch_size=200)
    ids = next(iter(data))["query_text"].numpy()
    plain = word.read(tf.constant(["q r s t u v"]))[0].numpy()[0]
    assert (ids[:, 0] == 2).all() and (ids[:, 7] == 3).all()
    assert set(ids[ids != plain[None]].tolist()) == {1}
    assert 0.25 < (ids[:, 1:7] == 1).mean() < 0.35
    still = pairs(folder, item_folder, text=word, mask_words=0.3, shuffle=False)
    assert (next(iter(still))["query_text"].numpy() == plain).all()
    with pytest.raises(TfmmError, match="mask or an unknown word"):
        pairs(folder, item_folder, text=Letters(), mask_words=0.3)
    with pytest.raises(TfmmError, match="share below 1"):
        pairs(folder, item_folder, text=word, mask_words=1.0)


def test_two_draws_of_one_picture_differ(tmp_path, item_folder):
    folder = write(tmp_path / "pairs", [[pair(2, source=2, query_item=2)] * 8])
    data = pairs(folder, item_folder, Pixels(), augment=augment_pictures)
    batch = next(iter(data))
    assert (batch["query_image"].numpy() != batch["item_image"].numpy()).any()


def test_some_sources_alone(tmp_path, item_folder):
    records = [
        pair(2, text=b"q"),
        pair(3, source=1, query_item=4),
        pair(4, source=2, query_item=4),
    ] * 5
    counts = {name: {"pairs": 5} for name in ("search", "clicked", "item")}
    known = write(tmp_path / "known", [records], sources=counts)
    bare = write(tmp_path / "bare", [records[:7], records[7:]])
    for folder in (known, bare):
        for shuffle in (True, False):
            data = pairs(
                folder,
                item_folder,
                text=Letters(),
                sources=["item", "search"],
                batch_size=4,
                shuffle=shuffle,
                window=6,
            )
            found = [x for batch in data for x in batch["source"].numpy().tolist()]
            assert sorted(found) == [0] * 5 + [2] * 5
            assert data.num_pairs == 10 and int(data.cardinality()) == 3
    only = write(tmp_path / "only", [[pair(2)]])
    with pytest.raises(TfmmError, match="no pairs of the sources item"):
        pairs(only, item_folder, text=Letters(), sources=["item"])


class Vectors:
    """An encoder of precomputed vectors: those of item b alone."""

    modality = "vector"

    def rows(self, index):
        table, present = np.zeros((index.rows, 2), np.float32), np.zeros(index.rows)
        row = index.rows_of(["b"])[0]
        table[row], present[row] = [3.0, 4.0], 1
        return table, present.astype(bool)


def test_vectors_by_row(tmp_path, item_folder):
    records = [pair(4, [2], b"q"), pair(2, [6], source=1, query_item=2), pair(99)]
    folder = write(tmp_path / "pairs", [records])
    (batch,) = pairs(folder, item_folder, vector=Vectors(), shuffle=False)
    batch = numbers(batch)
    here, none = [3.0, 4.0], [0.0, 0.0]
    assert batch["item_vector"] == [none, here, none]
    assert batch["negative_vector"] == [here, none, none]
    assert batch["query_vector"] == [none, here, none]
    assert batch["has_item_vector"] == [False, True, False]
    assert batch["has_query_vector"] == [False, True, False]


def test_pairs_of_the_tests_time_are_refused(tmp_path, item_folder):
    folder = write(tmp_path / "pairs", [[pair(2, text=b"q")] * 3])
    pairs(folder, item_folder, text=Letters(), not_after=2)
    with pytest.raises(TfmmError, match="Received: 3 of 3"):
        pairs(folder, item_folder, text=Letters(), not_after=1)


def test_items_of_the_test_are_refused(tmp_path, item_folder):
    own = [pair(row, source=2, query_item=row) for row in (2, 3, 4)]
    folder = write(tmp_path / "pairs", [own])
    of_search = write(tmp_path / "a", [[pair(2)]])
    of_item = write(tmp_path / "b", [[own[0]]])
    pairs(folder, item_folder, text=Letters(), not_after=2, not_in=of_search)
    with pytest.raises(TfmmError, match="1 of 3 such pairs"):
        pairs(folder, item_folder, text=Letters(), not_in=of_item)
