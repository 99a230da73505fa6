import numpy as np

from tfmm.records.groups import item_groups, record_groups


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


def test_near_pictures_join_where_the_manifest_says_so():
    rows = np.array([2, 3, 4, 5, 6])
    identity = {
        "image_hash": [b"p", b"p", b"", b"", b""],
        "equivalent": [b""] * 5,
        # 3 and 4 differ in two bits, 4 and 5 in one; 2 and 6 have no contrast.
        "image_phash": [b"", *(bytes(31) + bytes([x]) for x in (3, 0, 1)), b""],
    }
    for manifest, expected in (
        ({}, [2, 2, 4, 5, 6]),
        ({"near_duplicates": 0}, [2, 2, 4, 5, 6]),
        ({"near_duplicates": 1}, [2, 2, 2, 2, 6]),
    ):
        assert record_groups(rows, identity, manifest)[rows].tolist() == expected
    identity["image_phash"][3] = bytes(32)  # 5 is equal to 4 now.
    found = record_groups(rows, identity, {"near_duplicates": 1})
    assert found[rows].tolist() == [2, 2, 4, 4, 6]
