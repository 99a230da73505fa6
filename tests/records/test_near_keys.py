import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmm.records.near_keys import _bands, _distance, near_keys


def bits_between(one, other):
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def by_all_pairs(hashes, max_distance):
    """The smallest hash that a chain of near hashes leads to."""
    keys = []
    for start in hashes:
        group, grown = {start}, True
        while grown and start:
            reached = {
                value
                for value in hashes
                if value and any(bits_between(value, x) <= max_distance for x in group)
            }
            grown, group = not reached <= group, group | reached
        keys.append(min(group))
    return keys


@st.composite
def some_hashes(draw):
    words = draw(st.integers(1, 4))
    base = draw(st.binary(min_size=8 * words, max_size=8 * words))
    near = st.sets(st.integers(0, 64 * words - 1), max_size=9).map(
        lambda places: (
            int.from_bytes(base) ^ sum(1 << place for place in places)
        ).to_bytes(8 * words)
    )
    return draw(st.lists(st.one_of(near, near, st.just(b"")), max_size=25))


@settings(max_examples=150, deadline=None)
@given(some_hashes(), st.integers(0, 9))
def test_like_comparing_all_pairs(hashes, max_distance):
    assert near_keys(hashes, max_distance) == by_all_pairs(hashes, max_distance)


@settings(max_examples=30, deadline=None)
@given(some_hashes(), st.integers(0, 9), st.randoms())
def test_the_order_never_matters(hashes, max_distance, random):
    keys = dict(zip(hashes, near_keys(hashes, max_distance), strict=True))
    random.shuffle(hashes)
    assert near_keys(hashes, max_distance) == [keys[value] for value in hashes]


def test_chains_are_one_group():
    # 0, 1, 11, 111, ...: neighbours differ in one bit, the ends in 64.
    chain = [((1 << bits) - 1).to_bytes(8) for bits in range(65)]
    assert near_keys(chain, 1) == [bytes(8)] * 65
    assert near_keys(chain, 0) == chain


def test_no_hashes():
    assert near_keys([], 3) == []
    assert near_keys([b"", b""], 3) == [b"", b""]


@pytest.mark.parametrize("words", [1, 4])
@pytest.mark.parametrize("count", [1, 2, 5, 17])
def test_every_bit_is_in_one_band(words, count):
    masks = np.stack(list(_bands(words, count)))
    assert len(masks) == count
    assert (np.bitwise_or.reduce(masks) == np.uint64(2**64 - 1)).all()
    sizes = [sum(int(word).bit_count() for word in mask) for mask in masks]
    assert sum(sizes) == 64 * words and max(sizes) - min(sizes) <= 1


def test_distance():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 2**64, (2, 50, 4), np.uint64)
    one[0], other[0] = 0, 2**64 - 1
    found = _distance(one, other)
    pairs = zip(one, other, strict=True)
    assert found.tolist() == [bits_between(a.tobytes(), b.tobytes()) for a, b in pairs]
    assert found[0] == 256
