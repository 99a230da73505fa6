import numpy as np
import pytest

from tfmm.catalog import Catalog
from tfmm.errors import TfmmError
from tfmm.pretrain.probe import neighbour_probe, probe_catalog, zero_shot_probe


def test_neighbours_by_hand():
    # Angles; neighbours of each (k=2): 0: 1, 2; 1: 0, 2; 2: 1, 0; 3: 2, 1.
    angles = np.radians([0, 10, 25, 90])
    vectors = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    probe = neighbour_probe(vectors, ["a", "a", "b", "b"], k=2, attribute="letter")
    assert probe.accuracy == (0.5 + 0.5 + 0 + 0.5) / 4
    assert (probe.chance, probe.majority) == (0.5, 0.5)
    assert (probe.items, probe.values) == (4, 2)


def test_items_of_a_group_are_not_each_others_neighbours():
    vectors = [[1, 0], [1, 0], [0.8, 0.6], [0, 1]]
    labels = ["a", "a", "b", "b"]
    assert neighbour_probe(vectors, labels).accuracy == 0.75
    # Without their twin the first two find item 2, of the other value.
    assert neighbour_probe(vectors, labels, groups=[0, 0, 2, 3]).accuracy == 0.25


def test_unknown_values_take_no_part():
    vectors = [[1, 0], [1, 0.0], [0.9, 0.1], [0, 1]]
    probe = neighbour_probe(vectors, ["a", None, "a", ""])
    assert (probe.accuracy, probe.items) == (1, 2)


def test_words_by_hand_and_a_collapsed_space_gains_nothing():
    words = {"red": [[1, 0], [0.8, 0.6]], "blue": [0, 1], "green": [-1, 0]}
    vectors = np.array([[1, 0], [0, 1], [-1, 0], [0, 1]])
    labels = ["red", "blue", "green", "red"]
    assert zero_shot_probe(vectors, labels, words).accuracy == 0.75
    same = {"red": [1, 0], "blue": [1, 0], "green": [1, 0]}
    assert zero_shot_probe(vectors, labels, same).accuracy == pytest.approx(1 / 3)


def test_columns_of_a_table_with_a_catalog():
    catalog = Catalog.from_vectors(
        ["1", "2", "3", "4"], [[1, 0], [1, 0], [0, 1], [0, 0]], name="t", version="1"
    )
    # Of another order than the catalog; item 4 has no vector, item 9 is unknown.
    columns = {"kind": ["x", "b", "a", "a", "x"], "one": ["v"] * 5}
    kind, one = probe_catalog(catalog, ["4", "3", "2", "1", "9"], columns, "vector")
    assert (kind.accuracy, kind.items) == (pytest.approx(2 / 3), 3)
    assert one.accuracy == one.chance == one.majority == 1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: neighbour_probe([[1, 0]], ["a", "b"]), "Give each vector its value"),
        (lambda: neighbour_probe([[1, 0]], ["a"]), "at least two items"),
        (lambda: neighbour_probe([[1, 0]] * 2, ["a", "b"], k=0), "k at least 1"),
        (lambda: neighbour_probe([[1, 0]] * 2, "ab", groups=[1, 1]), "at least two"),
        (lambda: zero_shot_probe([[1, 0]] * 2, "ab", {"a": [1, 0]}), "none for b"),
        (lambda: zero_shot_probe([[1, 0]] * 2, "aa", {"a": [1]}), "share one space"),
    ],
)
def test_errors(call, message):
    with pytest.raises(TfmmError, match=message):
        call()
