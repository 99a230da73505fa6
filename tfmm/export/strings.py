"""Strings that stand for codes: the way back from a batch to a request."""

from collections.abc import Sequence

import numpy as np

from tfmm.records.hashing import with_hashes
from tfmm.records.spec import FIRST_CODE, UNKNOWN_CODE

_TRIED_AT_ONCE = 4096


def strings_of(
    codes: np.ndarray, known: Sequence[str], hash_buckets: int = 0
) -> np.ndarray:
    """Strings of codes: an unlisted one for code 1, one with that hash for hashed ones.

    Args:
        codes: int, of any shape.
        known: The known values.
        hash_buckets: How many hashed codes there are, after the known.

    Example:
        >>> strings_of(np.array([0, 1, 2]), ["a"]).tolist()
        ['', '<unknown>', 'a']
    """
    unlisted = "<unknown>"
    while unlisted in known:
        unlisted += "?"
    codes = np.asarray(codes)
    texts = np.array(["", unlisted, *known], object)
    hashed = codes >= FIRST_CODE + len(known)
    found = texts[np.where(hashed, 0, codes)]
    if hashed.any():
        stand_ins = _stand_ins(np.unique(codes[hashed]), known, hash_buckets)
        found[hashed] = [stand_ins[code] for code in codes[hashed].tolist()]
    return found


def _stand_ins(
    wanted: np.ndarray, known: Sequence[str], hash_buckets: int
) -> dict[int, str]:
    """An unlisted string for each hashed code, found by trying."""
    found: dict[int, str] = {}
    listed, start = set(known), 0
    while len(found) < len(wanted):
        tried = [f"<unknown {n}>" for n in range(start, start + _TRIED_AT_ONCE)]
        tried = [text for text in tried if text not in listed]
        unknown = np.full(len(tried), UNKNOWN_CODE)
        codes = np.asarray(with_hashes(unknown, tried, len(known), hash_buckets))
        hit = np.isin(codes, wanted)
        for code, text in zip(codes[hit].tolist(), np.array(tried)[hit], strict=True):
            found.setdefault(code, str(text))
        start += _TRIED_AT_ONCE
    return found
