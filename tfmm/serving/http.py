"""HTTP/1.1 around the REST routes: bodies, keep-alive, limits."""

import contextlib
import logging
import re
import socket
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tfmm.serving.rest import Answer, error_answer, respond
from tfmm.serving.status import StatusError, invalid
from tfmm.serving.versions import ModelManager

MAX_BODY_BYTES = 64 << 20
IDLE_SECONDS = 60
BODY_SECONDS = 60.0
MAX_CONNECTIONS = 512
_PIECE = 1 << 16
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,15}")
_TOO_MANY = (
    b"HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\nContent-Length: 33\r\n\r\n"
    b'{"error": "Too many connections"}'
)
_GZIP = 16 + zlib.MAX_WBITS
_LOG = logging.getLogger("tfmm.serving")


class RestServer(ThreadingHTTPServer):
    """Answers TF Serving's REST calls, one thread a connection.

    It takes its port at once and refuses connections until `open`.

    Args:
        address: Host and port; port 0 takes a free one.
        max_body_bytes: Longest body, also once inflated; longer ones get a 413.
        body_seconds: Longest time that a body may take to arrive; slower ones get a
            408.
        max_connections: Most connections at a time; further ones get a 503.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        max_body_bytes: int = MAX_BODY_BYTES,
        body_seconds: float = BODY_SECONDS,
        max_connections: int = MAX_CONNECTIONS,
    ) -> None:
        self._open: set[Any] = set()
        self.max_body_bytes = max_body_bytes
        self.body_seconds = body_seconds
        self._free = threading.BoundedSemaphore(max_connections)
        self._busy = 0
        self._idle = threading.Condition()
        super().__init__(address, _Handler, bind_and_activate=False)
        try:
            self.server_bind()
        except BaseException:
            self.server_close()
            raise

    def open(self, manager: ModelManager) -> None:
        """Accepts connections from now on and answers them from these models."""
        self.manager = manager
        self.server_activate()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answers on a thread of its own; refuses where there are too many."""
        if not self._free.acquire(blocking=False):
            with contextlib.suppress(OSError):
                request.sendall(_TOO_MANY)
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answers a connection's requests until it is closed."""
        self._open.add(request)
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._open.discard(request)
            self._free.release()

    def server_close(self) -> None:
        """Closes the port and all connections."""
        super().server_close()
        for connection in self._open.copy():
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Around the answer to a request, so that `drain` waits for it."""
        with self._idle:
            self._busy += 1
        try:
            yield
        finally:
            with self._idle:
                self._busy -= 1
                self._idle.notify_all()

    def drain(self, seconds: float) -> bool:
        """Waits until no request is being answered; whether that came to be."""
        with self._idle:
            return self._idle.wait_for(lambda: not self._busy, seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs a broken connection in one line."""
        _LOG.debug("connection of %s broke", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: RestServer
    protocol_version = "HTTP/1.1"
    server_version = "tfmm"
    timeout = IDLE_SECONDS
    # One packet per answer: head and body would else wait for each other's ACK.
    wbufsize = -1
    disable_nagle_algorithm = True

    def _answer(self) -> None:
        try:
            body = self._body()
        except StatusError as error:
            # What is left of the body would be read as the next request.
            self.close_connection = True
            return self._send(error_answer(error))
        except (ConnectionError, TimeoutError):
            self.close_connection = True
            return None
        with self.server.answering():
            return self._send(self._answer_to(body))

    def _answer_to(self, body: bytes) -> Answer:
        try:
            target = self.path.encode("latin-1").decode("utf-8", "surrogateescape")
            return respond(self.server.manager, self.command, target, body)
        except Exception:
            _LOG.exception("%s %s failed", self.command, self.path)
            return error_answer(StatusError("INTERNAL", "Internal error, see log."))

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = do_HEAD = _answer

    def handle_expect_100(self) -> bool:
        """Tells the client to go on, at once."""
        proceed = super().handle_expect_100()
        self.wfile.flush()
        return proceed

    def log_message(self, format: str, *args: Any) -> None:
        """Logs at debug level instead of to standard error."""
        _LOG.debug(format, *args)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.code)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def _body(self) -> bytes:
        self._deadline = time.monotonic() + self.server.body_seconds
        if "chunked" in self.headers.get("Transfer-Encoding", "").lower():
            body = self._chunks()
        else:
            length = self.headers.get("Content-Length", "0")
            if not (length.isascii() and length.isdigit()):
                raise invalid(f"Content-Length is no number: {length}")
            self._check_size(int(length))
            body = self._read(int(length))
        if self.headers.get("Content-Encoding", "").lower() == "gzip":
            body = self._inflate(body)
        return body

    def _chunks(self) -> bytes:
        parts, total = [], 0
        while size := self._chunk_size():
            self._check_time()
            total += size
            self._check_size(total)
            parts.append(self._read(size))
            self.rfile.readline(8)
        while self.rfile.readline(65536).strip():
            pass
        return b"".join(parts)

    def _chunk_size(self) -> int:
        line = self.rfile.readline(1024).split(b";")[0].strip()
        if not _HEXADECIMAL.fullmatch(line):
            raise invalid(f"Chunk size is no number: {line!r}")
        return int(line, 16)

    def _read(self, size: int) -> bytes:
        parts, left = [], size
        while left:
            part = self.rfile.read1(min(left, _PIECE))
            if not part:
                raise ConnectionAbortedError("the client went away")
            parts.append(part)
            left -= len(part)
            self._check_time()
        return b"".join(parts)

    def _check_time(self) -> None:
        if time.monotonic() > self._deadline:
            seconds = self.server.body_seconds
            raise StatusError(
                "DEADLINE_EXCEEDED", f"The body took more than {seconds} seconds", 408
            )

    def _inflate(self, body: bytes) -> bytes:
        inflater = zlib.decompressobj(_GZIP)
        try:
            data = inflater.decompress(body, self.server.max_body_bytes + 1)
        except zlib.error as error:
            raise invalid(f"The gzip body is damaged: {error}") from error
        self._check_size(len(data))
        return data

    def _check_size(self, size: int) -> None:
        limit = self.server.max_body_bytes
        if size > limit:
            raise StatusError(
                "INVALID_ARGUMENT", f"Body too large: {size} > {limit} bytes", 413
            )
