import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.kernels.windows import window_starts

SECOND = 1_000_000
ROWS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 12)), max_size=40)


def reference(rows, seconds):
    """A user's first row opens a window; so does each beyond the open one's end."""
    opened, found = {}, {}
    for user, time in sorted(set(rows)):
        if user not in opened or time > opened[user] + seconds:
            opened[user] = time
        found[user, time] = opened[user]
    return [found[row] for row in rows]


@given(ROWS, st.integers(0, 5))
def test_windows_are_those_of_the_reference(rows, seconds):
    user = np.array([u for u, _ in rows], np.int64)
    time = np.array([t for _, t in rows], np.int64)
    starts = window_starts(user, time * SECOND, seconds)
    assert (starts // SECOND).tolist() == reference(rows, seconds)


def test_a_window_includes_its_last_moment():
    time = np.array([0, 5 * SECOND, 5 * SECOND + 1])
    assert window_starts(np.zeros(3), time, 5).tolist() == [0, 0, 5 * SECOND + 1]
