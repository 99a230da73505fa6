"""Reads a connection until a moment in time, however its bytes drip in."""

import io
import math
import socket
import time
from typing import Any


class TimedReader(io.RawIOBase):
    """The bytes of a connection; each read ends at the deadline that is set then.

    A socket's own timeout bounds each wait alone, so that a byte a second keeps a
    server busy for ever.

    Args:
        connection: The connection; its timeout changes with every read.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._deadline = math.inf

    def allow(self, seconds: float) -> None:
        """Sets the deadline to so many seconds from now."""
        self._deadline = time.monotonic() + seconds

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)
        return self._connection.recv_into(buffer)
