import numpy as np

from tfmm.records.groups import item_groups


def test_groups_are_transitive_over_all_keys():
    # 9-7 by picture, 7-4 by style, 4-12 by picture: one group of four.
    rows = np.array([9, 7, 4, 12, 5])
    pictures = [b"p", b"p", b"q", b"q", b""]
    styles = [b"", b"s", b"s", b"", b""]
    groups = item_groups(rows, pictures, styles)
    assert groups.dtype == np.int32
    assert groups[rows].tolist() == [4, 4, 4, 4, 5]
    assert groups[[0, 1, 2, 3, 6, 8, 10, 11]].tolist() == [0, 1, 2, 3, 6, 8, 10, 11]
    order = np.array([3, 0, 4, 2, 1])
    shuffled = item_groups(
        rows[order], *([keys[i] for i in order] for keys in (pictures, styles))
    )
    np.testing.assert_array_equal(shuffled, groups)


def test_no_items():
    assert item_groups(np.zeros(0, np.int64), []).tolist() == [0]


def test_a_long_chain():
    count = 20_000
    rows = np.arange(2, count + 2)
    one = [str(i // 2).encode() for i in range(count)]
    other = [str((i + 1) // 2).encode() for i in range(count)]
    assert set(item_groups(rows, one, other)[2:].tolist()) == {2}
