"""What an encoder reads of item records, against plain Python."""

import hashlib

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.kernels.encoder_inputs import (
    EncoderInputs,
    digests,
    inputs_of,
    rebatched,
    unchanged,
)
from tfmm.records.example import encode

ITEM = st.tuples(st.integers(0, 30), st.binary(max_size=9), st.binary(max_size=9))
INPUTS = ["image_bytes", "title"]


def read(items):
    records = [
        encode({"row": np.array([row]), "image": [image], "title": [title]})
        for row, image, title in items
    ]
    return inputs_of(records, INPUTS)


def test_digest_by_hand():
    (found,) = digests([[b"ab"], [b""]], 1)
    by_hand = hashlib.sha256(bytes([2, *[0] * 7, *[0] * 8]) + b"ab").digest()[:16]
    assert found.tobytes() == by_hand


def test_media_that_move_to_another_input_are_another_digest():
    moved = digests([[b"ab", b"a", b"", b"ab"], [b"", b"b", b"ab", b""]], 4)
    assert len({each.tobytes() for each in moved}) == 3
    np.testing.assert_array_equal(moved[0], moved[3])


def test_only_the_inputs_count():
    one = encode({"row": np.array([2]), "title": [b"hat"], "image": [b"x"]})
    two = encode({"title": [b"hat"], "image": [b"y"], "row": np.array([2])})
    found = inputs_of([one, two], ["title"])
    np.testing.assert_array_equal(found.digests[0], found.digests[1])
    assert found.rows.tolist() == [2, 2]


@given(st.lists(ITEM, max_size=8))
def test_given_are_items_with_any_input(items):
    batch = read(items)
    assert batch.given(["title"]).tolist() == [title != b"" for *_, title in items]
    assert batch.given(INPUTS).tolist() == [a + b != b"" for _, a, b in items]


@given(st.lists(ITEM, max_size=8), st.lists(ITEM, max_size=8), st.integers(0, 31))
def test_unchanged_are_items_with_the_media_of_before(before, now, rows):
    earlier = np.zeros((rows, 16), np.uint8)
    known = {row: media for row, *media in before if row < rows}
    for row, media in known.items():
        earlier[row] = digests([[each] for each in media], 1)[0]
    expected = [known.get(row) == media for row, *media in now]
    assert unchanged(read(now), earlier).tolist() == expected


def test_a_row_below_zero_is_no_earlier_one():
    batch = read([(0, b"", b"hat")])
    wrong = EncoderInputs(np.array([-1]), batch.media, batch.digests)
    assert unchanged(wrong, np.repeat(batch.digests, 3, axis=0)).tolist() == [False]


@given(st.lists(st.lists(ITEM, max_size=7), max_size=5), st.integers(1, 6))
def test_rebatched_keeps_all_items_in_order(parts, size):
    found = list(rebatched(map(read, parts), size))
    assert all(len(batch) == size for batch in found[:-1])
    assert all(0 < len(batch) <= size for batch in found[-1:])
    every = [
        (row, image, title)
        for batch in found
        for row, image, title in zip(
            batch.rows.tolist(), *map(batch.media.get, INPUTS), strict=True
        )
    ]
    assert every == [item for part in parts for item in part]
