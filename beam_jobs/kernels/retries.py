"""Trying again what may succeed the next time."""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

T = TypeVar("T")


class ReadError(Exception):
    """A read that failed.

    Args:
        reason: A short word that never changes, without any content or address.
        transient: Whether the next attempt may succeed.
        wait: Seconds that the other side asks for before it.
    """

    def __init__(self, reason: str, transient: bool = False, wait: float = 0) -> None:
        super().__init__(reason)
        self.reason, self.transient, self.wait = reason, transient, wait


@dataclass(frozen=True)
class Retries:
    """Exponential backoff with jitter, so that many readers do not come back at once.

    Args:
        attempts: Most attempts.
        first_seconds: The mean first wait; each further one is twice as long.
        longest_seconds: No wait is longer, whatever the other side asks for.
        total_seconds: No attempt begins later than this after the first one.
        sleep: How to wait.
        jitter: A number from 0 to 1; half of the wait at 0, one and a half at 1.
        clock: The time in seconds.

    Example:
        >>> waits = []
        >>> patient = Retries(sleep=waits.append, jitter=lambda: 0.5)
        >>> def busy(deadline):
        ...     raise ReadError("http_503", transient=True, wait=7 if waits else 0)
        >>> patient(busy)
        Traceback (most recent call last):
        beam_jobs.kernels.retries.ReadError: http_503
        >>> waits
        [0.5, 7, 7]
    """

    attempts: int = 4
    first_seconds: float = 0.5
    longest_seconds: float = 30.0
    total_seconds: float = 60.0
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    clock: Callable[[], float] = time.monotonic

    def __call__(self, read: Callable[[float], T]) -> T:
        """What `read` returns; it is told the moment by which it must end.

        Raises:
            ReadError: Of the last attempt.
        """
        deadline = self.clock() + self.total_seconds
        backoff = self.first_seconds
        for attempt in range(1, self.attempts + 1):
            try:
                return read(deadline)
            except ReadError as error:
                wait = max(backoff * (0.5 + self.jitter()), error.wait)
                wait = min(wait, self.longest_seconds)
                late = self.clock() + wait >= deadline
                if not error.transient or attempt == self.attempts or late:
                    raise
            self.sleep(wait)
            backoff *= 2
        raise AssertionError("no attempts")
