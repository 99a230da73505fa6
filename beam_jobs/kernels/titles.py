"""Titles as item and pair records hold them."""

import unicodedata

import pyarrow as pa

MAX_TITLE = 512


def title(text: str | None) -> str:
    """A title in Unicode NFKC, without control characters or doubled spaces.

    Example:
        >>> title("  Red\\tＳｈｏｅ ")
        'Red Shoe'
    """
    clean = unicodedata.normalize("NFKC", text or "")
    if not clean.isprintable():
        clean = "".join(
            c for c in clean if c.isspace() or unicodedata.category(c)[0] != "C"
        )
    return " ".join(clean.split())[:MAX_TITLE].rstrip()


def titles(texts: pa.Array | pa.ChunkedArray) -> pa.Array:
    """`title` of each; empty where there is none.

    Example:
        >>> titles(pa.array([" a", None, "a "])).to_pylist()
        ['a', '', 'a']
    """
    if isinstance(texts, pa.ChunkedArray):
        texts = texts.combine_chunks()
    encoded = texts.dictionary_encode()
    known = [title(text) for text in encoded.dictionary.to_pylist()]
    places = encoded.indices.fill_null(len(known))
    return pa.array([*known, ""], pa.string()).take(places)
