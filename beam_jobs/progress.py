"""What a job has done so far, with its rate and what is left, on one machine."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

_LOOK_SECONDS = 0.5
_LINE_SECONDS = 30

Counts = Mapping[str, int]


@contextmanager
def shown(name: str, totals: Counts, done: Callable[[], Counts]) -> Iterator[None]:
    """Shows progress on standard error while the block runs.

    A terminal gets a bar for each count, all full when the block has ended well;
    elsewhere a line is written now and then.

    Args:
        name: The job.
        totals: What is counted, such as `rows` -> how many there will be, or about.
        done: Tells how many there are; called twice a second.
    """

    def known() -> Counts:
        return {what: n for what, n in done().items() if what in totals}

    console = Console(stderr=True)
    over, whole = threading.Event(), threading.Event()
    show = _bars if console.is_terminal else _written_lines
    thread = threading.Thread(
        target=show, args=(console, name, totals, known, over, whole), daemon=True
    )
    thread.start()
    try:
        yield
        whole.set()
    finally:
        over.set()
        thread.join()


def _bars(
    console: Console,
    name: str,
    totals: Counts,
    done: Callable[[], Counts],
    over: threading.Event,
    whole: threading.Event,
) -> None:
    columns = (
        TextColumn(f"  {name}: {{task.description}}"),
        BarColumn(),
        TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    began = time.monotonic()
    tasks: dict[str, TaskID] = {}
    with Progress(*columns, console=console) as bars:
        ended = False
        while not ended:
            ended = over.wait(_LOOK_SECONDS)
            for what, amount in done().items():
                if what not in tasks:
                    tasks[what] = bars.add_task(what, rate="")
                total = max(totals[what], amount)
                # The last of what workers did is not told any more.
                amount = total if whole.is_set() else amount
                rate = _rate(amount, began)
                bars.update(tasks[what], total=total, completed=amount, rate=rate)


def _written_lines(
    console: Console,
    name: str,
    totals: Counts,
    done: Callable[[], Counts],
    over: threading.Event,
    whole: threading.Event,
) -> None:
    began = time.monotonic()
    while not over.wait(_LINE_SECONDS):
        parts = [
            f"{what} {amount:,} of {totals[what]:,} ({_rate(amount, began)})"
            for what, amount in done().items()
        ]
        console.print(f"  {name}: {', '.join(parts) or 'starting'}", highlight=False)


def _rate(amount: int, began: float) -> str:
    return f"{amount / max(time.monotonic() - began, 1e-9):,.0f}/s"
