"""Requests without ids: one user's impressions within a window are one request."""

import numpy as np

from beam_jobs.kernels.ordering import changes


def window_starts(user: np.ndarray, time: np.ndarray, seconds: float) -> np.ndarray:
    """The first moment of every row's window.

    A user's first row opens a window, and so does every row later than `seconds` after
    the window's first.

    Args:
        user: int64 `[n]`.
        time: int64 `[n]`, microseconds.
        seconds: Length of a window; 0 for one moment.

    Returns:
        int64 `[n]`, microseconds.

    Example:
        >>> time = np.array([0, 3, 6, 9]) * 1_000_000
        >>> (window_starts(np.zeros(4), time, 5) // 1_000_000).tolist()
        [0, 0, 6, 6]
    """
    length = int(seconds * 1_000_000)
    if not length or not len(user):
        return time
    order = np.lexsort((time, user))
    ordered, moments = user[order], time[order]
    after = _first_after(ordered, moments, moments + length)
    opens = np.zeros(len(ordered), bool)
    at = np.flatnonzero(changes(ordered))
    while len(at):  # One window of every user at a time.
        opens[at] = True
        at = after[at]
        at = at[at < len(ordered)]
        at = at[~opens[at]]
    result = np.empty_like(time)
    result[order] = moments[opens][np.cumsum(opens) - 1]
    return result


def _first_after(user: np.ndarray, time: np.ndarray, limit: np.ndarray) -> np.ndarray:
    """For every row, where the first one after (its user, its limit) is.

    Args:
        user: int64 `[n]`; rows are ordered by user, then time.
        time: int64 `[n]`.
        limit: int64 `[n]`.
    """
    rows = len(user)
    order = np.lexsort((np.r_[time, limit], np.r_[user, user]))
    is_limit = order >= rows
    before = np.cumsum(~is_limit)[is_limit]
    result = np.empty(rows, np.int64)
    result[order[is_limit] - rows] = before
    return result
