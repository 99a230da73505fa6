"""Ctrl-C and SIGTERM, held back until a training step is over."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts:
    """Remembers a signal until `deliver`; a second one acts at once.

    A signal in the middle of a step would leave nobody knowing whether the step was
    taken.

    Example:
        >>> with Interrupts().held() as interrupts:
        ...     interrupts.waiting
        False
    """

    def __init__(self) -> None:
        self._received: int | None = None
        self._before: dict[int, Any] = {}

    @property
    def waiting(self) -> bool:
        """Whether a signal has come."""
        return self._received is not None

    @contextmanager
    def held(self) -> Iterator["Interrupts"]:
        """Holds signals back within the block, where it is the main thread's."""
        if threading.current_thread() is threading.main_thread():
            for number in _SIGNALS:
                handler = signal.getsignal(number)
                if handler not in (None, signal.SIG_IGN):
                    self._before[number] = handler
                    signal.signal(number, self._remember)
        try:
            yield self
        finally:
            self._restore()

    def deliver(self) -> None:
        """Lets a signal that waits act as it would have without this."""
        if self._received is not None:
            number, self._received = self._received, None
            handler = self._before.get(number)
            self._restore()
            if handler is signal.default_int_handler:
                # A signal can be lost in a callback of the garbage collector.
                raise KeyboardInterrupt
            signal.raise_signal(number)

    def _remember(self, number: int, frame: FrameType | None) -> None:
        first, self._received = self._received is None, number
        if not first:
            self.deliver()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
