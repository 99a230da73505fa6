import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from tfmm.records import id_column, text_search
from tfmm.records.id_column import IdColumn
from tfmm.records.text_search import TextSearch

TEXTS = st.one_of(st.text(max_size=3), st.sampled_from(["", "\0", "\0\0", "a", "a\0"]))


@settings(deadline=None)
@given(st.lists(TEXTS, unique=True), st.lists(st.none() | TEXTS), st.integers(0, 3))
def test_places_as_a_dictionary_has_them(texts, ids, skipped):
    known = pa.array(["x" * 9] * skipped + texts, pa.string())[skipped:]
    wanted = pa.array(["x" * 9] * skipped + ids, pa.string())[skipped:]
    places = {text: place for place, text in enumerate(texts)}
    found = TextSearch.of(known).places(wanted)
    assert found.tolist() == [places.get(text, -1) for text in ids]


def test_many_texts_in_several_chunks(monkeypatch):
    monkeypatch.setattr(text_search, "_CHUNK", 1000)
    texts = [f"B{number:09d}" for number in range(0, 30_000, 3)]
    found = TextSearch.of(pa.array(texts))
    ids = [f"B{number:09d}" for number in range(30_000)]
    expected = np.where(np.arange(30_000) % 3, -1, np.arange(30_000) // 3)
    assert found.places(pa.array(ids)).tolist() == expected.tolist()


def test_equal_numbers_are_never_taken_for_equal_texts(monkeypatch):
    known = pa.array(["a", "b"])
    search = TextSearch.of(known)
    monkeypatch.setattr(text_search, "_numbers", lambda texts: np.ones(len(texts), int))
    assert TextSearch.of(known) is None
    search = TextSearch(known, np.array([1, 2]))
    assert search.places(pa.array(["a", "c"])).tolist() == [0, -1]


def test_a_large_column_is_searched_and_falls_back(monkeypatch):
    monkeypatch.setattr(id_column, "_MANY", 1)
    for texts in (["b", "a", "c"], ["b", "a", "b"]):
        column = IdColumn(texts)
        assert column.places(["a", "zz", "b", "7"]).tolist() == [1, -1, 0, -1]
        assert (column._text_search is None) == (texts[2] == "b")
