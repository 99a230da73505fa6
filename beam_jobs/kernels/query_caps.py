"""Limits on the pairs of one query text, over the whole training set."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from beam_jobs.kernels.columns import codes, ints, ranks
from beam_jobs.kernels.hashes import NOTHING, combined, of_lists
from tfmm.schema import Pairs

REASONS = ("over_per_query", "seen_in_train")
_KEPT, _OVER, _SEEN = -1, 0, 1


@dataclass(frozen=True)
class Capped:
    """What became of every pair.

    Args:
        dropped: int64 `[n]`, the place of its reason in `REASONS`; -1 where kept.
        seen: bool `[n]`: test pairs of which a kept training pair has the query text
            and the item.
    """

    dropped: np.ndarray
    seen: np.ndarray


def cap(pairs: pa.Table, rule: Pairs) -> Capped:
    """Keeps some training pairs of every query text, and tells test pairs seen there.

    Which pairs are kept is a matter of a hash of what they are, so that they are of
    any time and never depend on the order of the input. Pairs without words are none
    of any text.

    Args:
        pairs: All pairs of some texts: int64 columns `text` (hash of the query text,
            or 0), `item`, `time` and `origin` (unique), `test` (bool) and, where
            known, `negatives`: lists of catalog rows.
        rule: The schema's rule.

    Example:
        >>> pairs = pa.table({"text": [5, 5, 5], "item": [2, 3, 2], "time": [1, 2, 9],
        ...                   "origin": [0, 1, 2], "test": [False, False, True]})
        >>> found = cap(pairs, Pairs(max_per_query=1))
        >>> [REASONS[code] for code in found.dropped if code >= 0]
        ['over_per_query']
    """
    text, item, time = (ints(pairs, name) for name in ("text", "item", "time"))
    test = pairs["test"].to_numpy()
    dropped = np.full(len(text), _KEPT)
    if rule.max_per_query is not None:
        content = combined(text, item, time)
        if "negatives" in pairs.column_names:
            content = combined(content, of_lists(pairs["negatives"]))
        some = np.flatnonzero(~test & (text != NOTHING))
        rank = ranks(text[some], content[some], ints(pairs, "origin")[some])
        dropped[some[rank >= rule.max_per_query]] = _OVER
    asked = codes(text, item)
    trained = asked[~test & (dropped == _KEPT)]
    seen = test & (text != NOTHING) & np.isin(asked, trained)
    if rule.drop_seen:
        dropped[seen] = _SEEN
    return Capped(dropped, seen)
