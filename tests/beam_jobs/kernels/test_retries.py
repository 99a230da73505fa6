import datetime
import email.utils

import pytest

from beam_jobs.kernels.http_read import _retry_after
from beam_jobs.kernels.retries import ReadError, Retries


def failing(*errors):
    left = list(errors)

    def read(deadline):
        if left:
            raise left.pop(0)
        return "read"

    return read


def lost(wait=0.0):
    return ReadError("connection", transient=True, wait=wait)


@pytest.mark.parametrize(
    ("jitter", "expected"), [(0.0, [0.25, 0.5, 1]), (1.0, [0.75, 1.5, 3])]
)
def test_waits_double_and_are_jittered(jitter, expected):
    waits = []
    retries = Retries(sleep=waits.append, jitter=lambda: jitter)
    assert retries(failing(lost(), lost(), lost())) == "read"
    assert waits == expected


def test_lasting_errors_and_the_last_attempt_are_raised():
    waits = []
    retries = Retries(attempts=2, sleep=waits.append)
    with pytest.raises(ReadError, match="http_404"):
        retries(failing(lost(), ReadError("http_404")))
    with pytest.raises(ReadError, match="connection"):
        retries(failing(lost(), lost()))
    assert len(waits) == 2


def test_no_attempt_begins_after_the_deadline():
    now = [100.0]
    told = []

    def read(deadline):
        told.append(deadline)
        now[0] += 4
        raise lost()

    retries = Retries(
        attempts=9,
        total_seconds=10,
        sleep=lambda seconds: now.__setitem__(0, now[0] + seconds),
        jitter=lambda: 0.5,
        clock=lambda: now[0],
    )
    with pytest.raises(ReadError):
        retries(read)
    # Attempts at 100 and 104.5; after the second it is 108.5, and a wait of 1 would
    # end at 109.5: one more. Then it is 113.5.
    assert told == [110.0] * 3


def test_the_other_side_may_ask_for_a_longer_wait():
    waits = []
    retries = Retries(sleep=waits.append, longest_seconds=9, jitter=lambda: 0.5)
    assert retries(failing(lost(5), lost(0.1), lost(1000))) == "read"
    assert waits == [5, 1, 9]


def test_retry_after_is_seconds_or_a_date():
    assert _retry_after("120") == 120 and _retry_after("-1") == 0
    assert _retry_after("") == _retry_after("soon") == _retry_after("nan") == 0
    later = datetime.datetime.now(datetime.UTC) + datetime.timedelta(seconds=60)
    assert 50 < _retry_after(email.utils.format_datetime(later, usegmt=True)) <= 60
    assert _retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
