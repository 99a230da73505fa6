import shutil

import numpy as np
import pytest

from tfmm.catalog import Catalog, VectorTable
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex

SOURCE = {"name": "toy", "version": "1"}


def vectors_of(ids, d=8):
    """A vector that depends on the id alone."""
    return np.stack([np.random.default_rng(int(i)).normal(size=d) for i in ids])


def assert_same(a: Catalog, b: Catalog) -> None:
    assert a.index.stamp() == b.index.stamp()
    assert a.fingerprint == b.fingerprint
    assert dict(a.sources) == dict(b.sources)
    for name, table in a.modalities.items():
        for part in ("codes", "inverse_norm", "present"):
            np.testing.assert_array_equal(
                getattr(table, part), getattr(b.modalities[name], part)
            )


def test_rows_follow_the_index_and_every_drop_is_counted():
    index = ItemIndex.create(["a", "b", "c", "d"])
    matrix = [[0, 1], [1, 0], [0, 0], [np.nan, 1], [1, 1], [np.inf, 0]]
    ids = ["c", "a", "b", "d", "stranger", "other"]
    catalog = Catalog.from_vectors(ids, matrix, index=index, **SOURCE)
    table = catalog.modalities["vector"]
    # rows: 0 fill, 1 unknown, 2 a, 3 b (zero), 4 c, 5 d (NaN)
    assert table.codes.tolist() == [[0, 0]] * 2 + [[127, 0], [0, 0], [0, 127], [0, 0]]
    assert table.present.tolist() == [False, False, True, False, True, False]
    assert catalog.counts == {
        "read": 6,
        "written": 2,
        "dropped": {"not_finite": 2, "unknown_item": 1, "zero_vector": 1},
    }


def test_integer_ids_make_an_int64_index():
    catalog = Catalog.from_vectors([10, 9], [[1, 0], [0, 1]], **SOURCE)
    assert catalog.index.ids == ["9", "10"] and catalog.index.id_type == "int64"
    assert catalog.neighbours(10)[0][0] == "9"


def test_neighbours_equal_brute_force():
    ids = [str(i) for i in range(200)]
    catalog = Catalog.from_vectors(ids, vectors_of(ids), **SOURCE)
    unit = catalog.vectors("vector")[catalog.index.rows_of(ids)]
    expected = unit @ unit[17]
    expected[17] = -2
    order = np.argsort(-expected)[:5]
    found = catalog.neighbours("17", k=5)
    assert [item for item, _ in found] == [ids[i] for i in order]
    np.testing.assert_allclose([c for _, c in found], expected[order], atol=1e-6)


def test_neighbours_over_modalities_average_what_both_items_have():
    ids = ["a", "b", "c", "d"]
    index = ItemIndex.create(ids)
    image = Catalog.from_vectors(
        ["a", "b", "c"],
        [[1, 0], [1, 0], [0, 1]],
        modality="image",
        index=index,
        **SOURCE,
    )
    text = Catalog.from_vectors(
        ["a", "b"], [[1, 0], [0, 1]], modality="text", index=index, **SOURCE
    )
    both = Catalog.merge(image, text)
    # b: image 1, text 0 -> 0.5; c: image 0 only; d has no vector at all
    assert both.neighbours("a") == [("b", pytest.approx(0.5)), ("c", 0.0)]
    assert both.neighbours("a", "text") == [("b", 0.0)]
    assert both.neighbours("c", k=1)[0][0] == "a"


@pytest.mark.parametrize("k", [0, 1, 3, 99])
def test_ties_go_by_row_and_k_may_exceed_the_items(k):
    ids = ["a", "b", "c", "d"]
    catalog = Catalog.from_vectors(ids, np.ones((4, 2)), **SOURCE)
    assert [item for item, _ in catalog.neighbours("b", k=k)] == ["a", "c", "d"][:k]


def test_save_open_round_trip_is_memory_mapped(tmp_path):
    catalog = Catalog.from_vectors(["a", "b"], [[1, 2], [3, 4]], **SOURCE)
    catalog.save(tmp_path / "catalog")
    opened = Catalog.open(tmp_path / "catalog")
    assert_same(catalog, opened)
    assert opened.counts == catalog.counts
    assert isinstance(opened.modalities["vector"].codes, np.memmap)
    assert opened.neighbours("a") == catalog.neighbours("a")


@pytest.mark.parametrize("vectors", ["float", "int8", "both"])
def test_parquet_round_trip(tmp_path, vectors):
    index = ItemIndex.create(["a", "b", "c"])
    image = Catalog.from_vectors(
        ["c", "a"], [[1.0, 2.0], [3.0, -4.0]], modality="image", index=index, **SOURCE
    )
    text = Catalog.from_vectors(
        ["b"], [[1.0, 2.0, 3.0]], modality="text", index=index, **SOURCE
    )
    none = Catalog(index, {"sound": VectorTable.empty(5, 2)}, {"sound": "toy@1"})
    catalog = Catalog.merge(image, text, none)
    catalog.to_parquet(tmp_path / "vectors.parquet", vectors=vectors)
    assert_same(catalog, Catalog.from_parquet(tmp_path / "vectors.parquet"))
    grown = Catalog.from_parquet(tmp_path / "vectors.parquet", index.extend(["d"]))
    assert grown.rows == 6


def test_rows_are_stable_when_a_tenth_goes_and_a_tenth_comes():
    old_ids = [str(i) for i in range(100)]
    old_index = ItemIndex.create(old_ids)
    old = Catalog.from_vectors(old_ids, vectors_of(old_ids), index=old_index, **SOURCE)
    kept, added = old_ids[10:], [str(i) for i in range(1000, 1010)]
    new_index = old_index.extend(kept + added)
    new = Catalog.from_vectors(
        kept + added, vectors_of(kept + added), index=new_index, **SOURCE
    )
    for row in range(2, old.rows):
        assert new.index.id_of(row) == old.index.id_of(row)
    assert new.fingerprint == old.fingerprint
    rows = new_index.rows_of(kept)
    np.testing.assert_array_equal(
        new.modalities["vector"].codes[rows], old.modalities["vector"].codes[rows]
    )
    assert not new.modalities["vector"].present[new_index.rows_of(old_ids[:10])].any()


def test_open_against_a_grown_index(tmp_path):
    index = ItemIndex.create(["a", "b"])
    catalog = Catalog.from_vectors(["a", "b"], np.eye(2), index=index, **SOURCE)
    catalog.save(tmp_path / "catalog")
    grown = Catalog.open(tmp_path / "catalog", index.extend(["c", "0"]))
    assert (
        grown.modalities["vector"].present.tolist()
        == [False] * 2 + [True] * 2 + [False] * 2
    )
    assert grown.fingerprint == catalog.fingerprint
    assert grown.index.ids == ["a", "b", "0", "c"]


def test_another_lineage_is_refused(tmp_path):
    Catalog.from_vectors(["a", "b"], np.eye(2), **SOURCE).save(tmp_path / "catalog")
    for other in (ItemIndex.create(["a", "c"]), ItemIndex.create(["a", "b", "c"])):
        with pytest.raises(TfmmError, match="another item index"):
            Catalog.open(tmp_path / "catalog", other)


def test_a_shorter_index_is_refused():
    index = ItemIndex.create(["a"])
    longer = index.extend(["b"])
    catalog = Catalog.from_vectors(["a", "b"], np.eye(2), index=longer, **SOURCE)
    with pytest.raises(TfmmError, match="knows more items"):
        catalog.reindex(index)


def test_fingerprint_depends_on_what_models_rely_on():
    def make(ids=("a", "b"), d=2, **source):
        source = SOURCE | source
        return Catalog.from_vectors(list(ids), np.eye(2, d), **source).fingerprint

    base = make()
    others = [make(version="2"), make(name="x"), make(d=3), make(ids=("a", "c"))]
    others.append(make(modality="image"))
    assert len({base, *others}) == 6
    again = Catalog.from_vectors(["a", "b"], [[5, 1], [2, 2]], **SOURCE)
    assert again.fingerprint == base
    again.check_fingerprint(base, "The ranker")
    with pytest.raises(TfmmError, match=r"The ranker was trained.*--from make"):
        again.check_fingerprint(others[0], "The ranker")


def test_merge_refuses_the_same_modality_twice():
    catalog = Catalog.from_vectors(["a"], [[1]], **SOURCE)
    with pytest.raises(TfmmError, match="different modalities"):
        Catalog.merge(catalog, catalog)


def test_merge_follows_the_longest_index():
    index = ItemIndex.create(["a"])
    old = Catalog.from_vectors(["a"], [[1]], index=index, **SOURCE)
    new = Catalog.from_vectors(
        ["b"], [[1]], modality="text", index=index.extend(["b"]), **SOURCE
    )
    assert Catalog.merge(old, new).modalities["vector"].present.tolist() == [
        False,
        False,
        True,
        False,
    ]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda c: c.neighbours("zzz"), "not in the index"),
        (lambda c: c.neighbours("b"), "has no vector"),
        (lambda c: c.neighbours("a", "sound"), "no modality 'sound'"),
        (lambda c: c.vectors("sound"), "no modality 'sound'"),
        (lambda c: c.to_parquet("x", vectors="int4"), "int4"),
    ],
)
def test_errors_teach(call, message):
    index = ItemIndex.create(["a", "b"])
    catalog = Catalog.from_vectors(["a"], [[1.0, 2.0]], index=index, **SOURCE)
    with pytest.raises(TfmmError, match=message):
        call(catalog)


def test_constructor_refuses_what_does_not_fit():
    index = ItemIndex.create(["a"])
    with pytest.raises(TfmmError, match="one vector per catalog row"):
        Catalog(index, {"image": VectorTable.empty(9, 2)}, {"image": "x"})
    with pytest.raises(TfmmError, match="source"):
        Catalog(index, {"image": VectorTable.empty(3, 2)}, {})
    with pytest.raises(TfmmError, match="file and tensor names"):
        Catalog(index, {"../x": VectorTable.empty(3, 2)}, {"../x": "x"})


def test_an_unfinished_or_damaged_folder_is_refused(tmp_path):
    folder = tmp_path / "catalog"
    catalog = Catalog.from_vectors(["a", "b"], np.eye(2), **SOURCE)
    catalog.save(folder)
    (folder / "vector.codes.npy").write_bytes(b"short")
    with pytest.raises(TfmmError, match=r"vector\.codes\.npy"):
        Catalog.open(folder)
    shutil.rmtree(folder)
    with pytest.raises(TfmmError, match="not a finished output"):
        Catalog.open(folder)
