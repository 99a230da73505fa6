"""Work ahead of a consumer: threads, order kept, bounded memory."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    function: Callable[[T], R], values: Iterable[T], at_a_time: int, in_flight: int
) -> Iterator[R]:
    """What `function` makes of each value, in order, while threads work ahead.

    Args:
        function: Called in threads; what it raises is raised here.
        values: Read only as far as the work goes.
        at_a_time: Calls at a time.
        in_flight: Most values begun and not yet taken, which bounds the memory.

    Example:
        >>> list(ahead(str.upper, "abc", at_a_time=2, in_flight=2))
        ['A', 'B', 'C']
    """
    rest = iter(values)
    begun: deque[Future[R]] = deque()
    pool = ThreadPoolExecutor(at_a_time)
    try:
        for value in itertools.islice(rest, in_flight):
            begun.append(pool.submit(function, value))
        while begun:
            yield begun.popleft().result()
            for value in itertools.islice(rest, 1):
                begun.append(pool.submit(function, value))
    finally:
        pool.shutdown(cancel_futures=True)
