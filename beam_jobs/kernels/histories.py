"""Which events are in the history of which request."""

import numpy as np

from beam_jobs.kernels.ordering import changes
from beam_jobs.kernels.timelines import Events, Requests


def cuts(requests: Requests, events: Events, lag: int) -> tuple[np.ndarray, np.ndarray]:
    """For every request, the span of events in its history.

    An event is in the history if it is the same user's and strictly earlier than the
    request's time less the lag.

    Args:
        requests: The requests.
        events: The events.
        lag: Microseconds.

    Returns:
        Start of the user's events and end of the history, int64 `[R]` each.
    """
    new = changes(requests.user)
    users, place = requests.user[new], np.cumsum(new) - 1
    start = np.searchsorted(events.user, users, "left")[place]
    stop = np.searchsorted(events.user, users, "right")[place]
    return start, _cut(events.time, start, stop, requests.time - lag)


def newest(
    requests: Requests, events: Events, spans: tuple[np.ndarray, np.ndarray], most: int
) -> tuple[np.ndarray, dict[str, int]]:
    """Cuts the spans to the newest events; counts the events that no history has.

    Args:
        requests: The requests.
        events: The events.
        spans: What `cuts` returned.
        most: Newest events kept in a history, L.

    Returns:
        Start of every history, int64 `[R]`, and reason -> number of events: older
        than every history's L newest, or earlier than no request of their user.
    """
    start, end = spans
    kept = np.maximum(start, end - most)
    seen = covered(start, end, len(events.user))
    stored = covered(kept, end, len(events.user))
    return kept, {
        "history_too_long": int((seen & ~stored).sum()),
        "no_later_request": int((~seen).sum()),
    }


def covered(start: np.ndarray, end: np.ndarray, size: int) -> np.ndarray:
    """Which of `size` places lie in any of the spans: bool `[size]`.

    Args:
        start: int64 `[n]`.
        end: int64 `[n]`, exclusive.
        size: Number of places.
    """
    steps = np.bincount(start, minlength=size + 1) - np.bincount(
        end, minlength=size + 1
    )
    return np.cumsum(steps)[:size] > 0


def _cut(
    time: np.ndarray, start: np.ndarray, stop: np.ndarray, limit: np.ndarray
) -> np.ndarray:
    """The first place of every span whose time is not before the limit, by bisection.

    Each step halves all spans at once.
    """
    low, high = start.copy(), stop.copy()
    while len(left := np.flatnonzero(low < high)):
        middle = (low[left] + high[left]) // 2
        before = time[middle] < limit[left]
        low[left[before]] = middle[before] + 1
        high[left[~before]] = middle[~before]
    return low
