"""Which events are in the history of which request."""

import numpy as np

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
    start = np.searchsorted(events.user, requests.user, "left")
    end = _search(events.user, events.time, requests.user, requests.time - lag)
    return start, np.maximum(start, end)


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
    seen = _covered(start, end, len(events.user))
    stored = _covered(kept, end, len(events.user))
    return kept, {
        "history_too_long": int((seen & ~stored).sum()),
        "no_later_request": int((~seen).sum()),
    }


def _covered(start: np.ndarray, end: np.ndarray, size: int) -> np.ndarray:
    """Which of `size` places lie in any of the spans."""
    steps = np.bincount(start, minlength=size + 1) - np.bincount(
        end, minlength=size + 1
    )
    return np.cumsum(steps)[:size] > 0


def _search(
    user: np.ndarray, time: np.ndarray, wanted_user: np.ndarray, wanted: np.ndarray
) -> np.ndarray:
    """Where (wanted_user, wanted) would go, left, in arrays ordered by both."""
    moments = np.unique(np.concatenate([time, wanted]))
    width = np.int64(len(moments) + 1)
    people = np.unique(np.concatenate([user, wanted_user]))

    def joint(of_user: np.ndarray, of_time: np.ndarray) -> np.ndarray:
        return np.searchsorted(people, of_user) * width + np.searchsorted(
            moments, of_time
        )

    return np.searchsorted(joint(user, time), joint(wanted_user, wanted), "left")
