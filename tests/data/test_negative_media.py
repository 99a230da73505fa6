"""A hard negative's pictures and titles are drawn as the item's are."""

import collections

import numpy as np
import pytest
from pair_folders import Letters, Pixels, example, jpeg, pair, write

from tfmm.data.pair_batches import pairs


def folders(tmp_path):
    """Items 2 and 3, each with three pictures and two titles."""
    records = [
        example(
            row=row,
            item_id=b"%d" % row,
            title=b"dd",
            image=jpeg(grey),
            image_hash=b"%d" % row,
            more_images=[jpeg(grey + 10), jpeg(grey + 20)],
            more_titles=[b"ee"],
        )
        for row, grey in ((2, 40), (3, 140))
    ]
    items = write(tmp_path / "items", [records], "items")
    return write(tmp_path / "pairs", [[pair(2, [3], b"q")] * 120]), items


def drawn(data, part):
    """(grey value, first letter) of that part of each pair."""
    return [
        (int(grey), chr(letter))
        for batch in data
        for grey, letter in zip(
            batch[f"{part}_image"].numpy()[:, 0, 0, 0],
            batch[f"{part}_text"].numpy()[:, 0],
            strict=True,
        )
    ]


def test_every_picture_and_title_of_a_negative_is_drawn(tmp_path):
    data = pairs(*folders(tmp_path), Pixels(), Letters(), batch_size=32)
    counts = collections.Counter(drawn(data, "negative"))
    # Each picture with each title: the two draws know nothing of each other.
    assert set(counts) == {(g, x) for g in (140, 150, 160) for x in "de"}
    assert min(counts.values()) > 8


def test_the_negative_is_drawn_apart_from_the_item(tmp_path):
    data = pairs(*folders(tmp_path), Pixels(), Letters(), batch_size=32)
    ours, others = (drawn(data.at(0, 0), part) for part in ("item", "negative"))
    both = zip(ours, others, strict=True)
    assert len({(one[0], other[0]) for one, other in both}) == 9


@pytest.mark.slow
def test_the_draws_are_a_function_of_seed_and_place(tmp_path):
    options = {"image": Pixels(), "text": Letters(), "batch_size": 32}
    given = folders(tmp_path)
    data = pairs(*given, seed=3, **options)
    whole = drawn(data.at(1, 0), "negative")
    np.testing.assert_array_equal(drawn(data.at(1, 2), "negative"), whole[64:])
    assert drawn(pairs(*given, seed=3, start_epoch=1, **options), "negative") == whole
    assert drawn(data.at(2, 0), "negative") != whole
    still = pairs(*given, shuffle=False, **options)
    assert set(drawn(still, "negative")) == {(140, "d")}
