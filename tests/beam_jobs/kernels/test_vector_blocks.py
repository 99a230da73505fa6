"""Blocks of vectors to tables and counts."""

import numpy as np
import pytest

from beam_jobs.kernels.vector_blocks import Block, assemble, end_to_end, to_npz
from tfmm.catalog import quantise
from tfmm.errors import TfmmError

PARTS = ("codes", "inverse_norm", "present")


def block(rows, vectors=None, given=None):
    """One modality; every row's digest is its number."""
    rows = np.array(rows)
    digests = np.repeat(rows[:, None], 16, axis=1).astype(np.uint8)
    tables = None if vectors is None else {"text": quantise(vectors)}
    given = np.ones(len(rows), bool) if given is None else np.array(given)
    return to_npz(Block(rows, digests, {"text": given}, tables))


EARLIER = {"text": quantise([[0, 0], [0, 0], [3, 4], [1, 0], [0, 0]])}


def test_new_vectors_and_those_of_before():
    blocks = [block([5, 2], [[0.0, 2.0], [1.0, 1.0]]), block([3, 4])]
    made = assemble(blocks, {"text": 2}, 7, EARLIER)
    expected = quantise([[0, 0], [0, 0], [1, 1], [1, 0], [0, 0], [0, 2], [0, 0]])
    for part in PARTS:
        found, wanted = (getattr(x, part) for x in (made.tables["text"], expected))
        np.testing.assert_array_equal(found, wanted)
        assert found.dtype == wanted.dtype
    assert made.encoded == 2
    assert made.digests[:, 0].tolist() == [0, 0, 2, 3, 4, 5, 0]


def test_counts_by_hand():
    """Rows 2, 3 new (3 unreadable), 4 kept and absent, 6 kept; 5 is gone."""
    earlier = {"text": quantise([[0, 0]] * 5 + [[1, 0], [0, 1]])}
    new = block([2, 3], [[1.0, 0.0], [0.0, 0.0]])
    kept = block([4, 6], given=[False, True])
    digests = np.zeros((7, 16), np.uint8)
    digests[[2, 4, 5, 6]] = [[9], [4], [5], [6]]  # The record of row 2 has changed.
    counts = assemble([new, kept], {"text": 2}, 8, earlier).counts(digests)
    assert counts == {
        "read": 4,
        "written": 2,
        "dropped": {"no_media": 2},
        "modalities": {
            "text": {"read": 4, "written": 2, "dropped": {"absent": 1, "unreadable": 1}}
        },
        "encoded": 2,
        "taken_over": 2,
        "changed": 1,
        "gone": 1,
    }


def test_tables_end_to_end_are_the_table_of_all():
    vectors = np.arange(10.0).reshape(5, 2)
    parts = [{"text": quantise(part)} for part in (vectors[:2], vectors[2:])]
    for part in PARTS:
        found = getattr(end_to_end(parts)["text"], part)
        np.testing.assert_array_equal(found, getattr(quantise(vectors), part))


@pytest.mark.parametrize("row", [-1, 1, 7])
def test_rows_that_the_index_lacks(row):
    with pytest.raises(TfmmError, match=rf"Received: \[{row}\]"):
        assemble([block([row], [[1.0, 0.0]])], {"text": 2}, 7)


def test_an_item_in_two_blocks():
    blocks = [block([2, 3], [[1.0, 0.0], [0.0, 1.0]]), block([3])]
    with pytest.raises(TfmmError, match=r"each of 3 records\. Received: 2 rows"):
        assemble(blocks, {"text": 2}, 7, EARLIER)
