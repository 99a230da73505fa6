"""The open connections of a server: how many, and which are at work."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

LINGER_SECONDS = 1.0
_CHUNK = 65536


class Connections:
    """Keeps count of connections, so that they are bounded and closed in order.

    Args:
        limit: How many may be open at once.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._busy: dict[socket.socket, bool] = {}
        self._changed = threading.Condition()
        self.closing = False

    def admit(self, connection: socket.socket) -> bool:
        """Takes a new connection in; False if there are too many."""
        with self._changed:
            if self.closing or len(self._busy) >= self._limit:
                return False
            self._busy[connection] = False
            return True

    def leave(self, connection: socket.socket) -> None:
        """Forgets a connection that is about to be closed."""
        with self._changed:
            self._busy.pop(connection, None)
            self._changed.notify_all()

    @contextmanager
    def at_work(self, connection: socket.socket) -> Iterator[None]:
        """While a request is read and answered: `close` waits for it."""
        self._mark(connection, True)
        try:
            yield
        finally:
            self._mark(connection, False)

    def close(self, grace: float) -> None:
        """Ends idle connections now, the others after their answer or the grace."""
        with self._changed:
            self.closing = True
            for connection, busy in self._busy.items():
                if not busy:
                    _end(connection, socket.SHUT_RD)
            self._changed.wait_for(lambda: not any(self._busy.values()), grace)
            for connection in self._busy:
                _end(connection, socket.SHUT_RDWR)

    def _mark(self, connection: socket.socket, busy: bool) -> None:
        with self._changed:
            if connection in self._busy:
                self._busy[connection] = busy
            self._changed.notify_all()


def linger(connection: socket.socket, seconds: float = LINGER_SECONDS) -> None:
    """Reads on for a while what a refused client still sends.

    A connection closed with bytes unread is reset, and the client may lose the answer.
    """
    end = time.monotonic() + seconds
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)
        while (left := end - time.monotonic()) > 0:
            connection.settimeout(left)
            if not connection.recv(_CHUNK):
                return


def _end(connection: socket.socket, how: int) -> None:
    with suppress(OSError):
        connection.shutdown(how)
