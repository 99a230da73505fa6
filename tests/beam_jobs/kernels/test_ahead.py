import threading
import time

import pytest

from beam_jobs.kernels.ahead import ahead


def test_order_is_kept_whatever_ends_first():
    def slow_at_first(value):
        time.sleep(0.02 if value < 3 else 0)
        return value * value

    assert list(ahead(slow_at_first, range(30), 4, 8)) == [i * i for i in range(30)]
    assert list(ahead(str, [], 4, 8)) == []


def test_work_goes_only_so_far_ahead():
    begun, done = [], []

    def values():
        for i in range(100):
            begun.append(i)
            yield i

    found = ahead(lambda i: done.append(i) or i, values(), at_a_time=2, in_flight=5)
    assert next(found) == 0 and len(begun) == 5
    assert next(found) == 1 and len(begun) == 6
    found.close()
    assert len(begun) == 6 and len(done) <= 6


def test_no_more_at_a_time_than_asked_for():
    lock, now, most = threading.Lock(), 0, 0

    def work(_):
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.002)
        with lock:
            now -= 1

    list(ahead(work, range(30), at_a_time=3, in_flight=20))
    assert most == 3


def test_errors_are_raised_where_the_value_would_be():
    found = ahead(lambda i: 1 // i, [1, 0, 1], 2, 2)
    assert next(found) == 1
    with pytest.raises(ZeroDivisionError):
        next(found)
