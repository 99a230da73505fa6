"""Counters of a job: in Beam's metrics, or beside what one unit of work wrote."""

import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from apache_beam.metrics import Metrics, MetricsFilter

NAMESPACE = "tfmm"
_collecting = threading.local()


def count(name: str, amount: int = 1) -> None:
    """Adds to a counter: the innermost `collected` of this thread, or else Beam's."""
    if not amount:
        return
    if stack := getattr(_collecting, "stack", None):
        stack[-1][name] += int(amount)
    else:
        Metrics.counter(NAMESPACE, name).inc(int(amount))


@contextmanager
def collected() -> Iterator[Counter[str]]:
    """What is counted within the block, for its own record.

    Example:
        >>> with collected() as counts:
        ...     count("items:read", 2)
        >>> dict(counts)
        {'items:read': 2}
    """
    stack = _collecting.__dict__.setdefault("stack", [])
    stack.append(Counter())
    try:
        yield stack[-1]
    finally:
        stack.pop()


def committed(result: Any) -> dict[str, int]:
    """A finished pipeline's counters by name."""
    found = result.metrics().query(MetricsFilter().with_namespace(NAMESPACE))
    return {
        each.key.metric.name: each.committed
        for each in sorted(found["counters"], key=str)
    }


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """The counters of several parts of a job, added up by name.

    Example:
        >>> summed([{"a": 1}, {"a": 2, "b": 3}])
        {'a': 3, 'b': 3}
    """
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return dict(sorted(total.items()))


def table_counts(found: Mapping[str, int], name: str) -> dict[str, Any]:
    """`read`, `written` and `dropped` of a table, from the job's counters.

    `written` is what remains of `read` after all that was dropped with a reason.
    """
    prefix = f"{name}:dropped:"
    dropped = {
        key.removeprefix(prefix): value
        for key, value in sorted(found.items())
        if key.startswith(prefix)
    }
    read = found.get(f"{name}:read", 0)
    return {"read": read, "written": read - sum(dropped.values()), "dropped": dropped}
