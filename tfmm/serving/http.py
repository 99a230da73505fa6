"""HTTP/1.1 around the REST routes: keep-alive, and bounds on time and number."""

import io
import logging
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from socketserver import ThreadingTCPServer
from typing import Any

from tfmm.serving.connections import Connections, linger
from tfmm.serving.http_body import read_body
from tfmm.serving.rest import Answer, error_answer, respond
from tfmm.serving.status import StatusError
from tfmm.serving.timed_reader import TimedReader
from tfmm.serving.versions import ModelManager

MAX_BODY_BYTES = 64 << 20
MAX_CONNECTIONS = 512
IDLE_SECONDS = 60.0
REQUEST_SECONDS = 60.0
_ACCEPT_SECONDS = 0.1
_REFUSE_SECONDS = 0.05
_MAX_LINE = 65536
_REASONS = {status.value: status.phrase for status in HTTPStatus}
_LOG = logging.getLogger("tfmm.serving")


class RestServer(ThreadingTCPServer):
    """Answers TF Serving's REST calls, one thread a connection.

    It takes its port at once and refuses connections until `open`.

    Args:
        address: Host and port; port 0 takes a free one.
        max_body_bytes: Longest body, also once inflated; longer ones get a 413.
        max_connections: Most connections at once; further ones get a 503.
        request_seconds: Longest time a request may take to arrive, and its answer to
            be taken; slower ones get a 408.
    """

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        max_body_bytes: int = MAX_BODY_BYTES,
        max_connections: int = MAX_CONNECTIONS,
        request_seconds: float = REQUEST_SECONDS,
    ) -> None:
        self.max_body_bytes = max_body_bytes
        self.request_seconds = request_seconds
        self.connections = Connections(max_connections)
        super().__init__(address, _Handler, bind_and_activate=False)
        try:
            self.server_bind()
        except BaseException:
            self.server_close()
            raise

    def open(self, manager: ModelManager) -> None:
        """Lets connections queue; `run` answers them from these models."""
        self.manager = manager
        self.server_activate()

    def run(self) -> None:
        """Accepts connections until `close`."""
        self.serve_forever(_ACCEPT_SECONDS)

    def close(self, grace: float) -> None:
        """Accepts no more; waits so many seconds for answers under way."""
        if hasattr(self, "manager"):
            self.shutdown()
        self.server_close()
        self.connections.close(grace)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.connections.admit(request):
            super().process_request(request, client_address)
            return
        error = StatusError("UNAVAILABLE", "Too many connections. Try again later.")
        with suppress(OSError):
            request.settimeout(_REFUSE_SECONDS)
            request.sendall(_message(error_answer(error), close=True))
            linger(request, _REFUSE_SECONDS)
        self.shutdown_request(request)

    def shutdown_request(self, request: Any) -> None:
        self.connections.leave(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Logs a broken connection in one line."""
        _LOG.debug("connection of %s broke", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: RestServer
    rfile: Any
    protocol_version = "HTTP/1.1"
    # Else what is no HTTP would be answered without a head, as in 1991.
    default_request_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def setup(self) -> None:
        super().setup()
        self.rfile.close()
        self._reader = TimedReader(self.connection)
        self.rfile = io.BufferedReader(self._reader)
        self._refused = False

    def finish(self) -> None:
        if self._refused:
            linger(self.connection)
        super().finish()

    def handle_one_request(self) -> None:
        self.close_connection = True
        self._reader.allow(IDLE_SECONDS)
        try:
            if self.rfile.peek(1):
                with self.server.connections.at_work(self.connection):
                    self._serve()
        except (TimeoutError, ConnectionError):
            self.close_connection = True

    def handle_expect_100(self) -> bool:
        """Tells the client to go on, at once."""
        self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        return True

    def send_error(
        self, code: int, message: str | None = None, explain: str | None = None
    ) -> None:
        """Refuses what is no HTTP request; called while its head is parsed."""
        raise StatusError("INVALID_ARGUMENT", message or _REASONS[code], code)

    def log_message(self, format: str, *args: Any) -> None:
        """Logs at debug level instead of to standard error."""
        _LOG.debug(format, *args)

    def _serve(self) -> None:
        seconds = self.server.request_seconds
        self._reader.allow(seconds)
        self.command = ""
        try:
            answer = self._answer(self._read())
        except StatusError as error:
            answer = self._refusal(error)
        except TimeoutError:
            text = f"The request took longer than {seconds:g} seconds to arrive."
            answer = self._refusal(StatusError("DEADLINE_EXCEEDED", text, 408))
        self._send(answer)

    def _read(self) -> bytes:
        self.raw_requestline = self.rfile.readline(_MAX_LINE + 1)
        if len(self.raw_requestline) > _MAX_LINE:
            self.send_error(HTTPStatus.REQUEST_URI_TOO_LONG)
        if not self.parse_request():
            self.send_error(HTTPStatus.BAD_REQUEST)
        return read_body(self.headers, self.rfile, self.server.max_body_bytes)

    def _answer(self, body: bytes) -> Answer:
        if self.command == "OPTIONS" and self.headers.get("Origin"):
            return Answer(200, b"")
        target = self.path.encode("latin-1").decode("utf-8", "surrogateescape")
        try:
            return respond(self.server.manager, self.command, target, body)
        except Exception:
            _LOG.exception("%s %s failed", self.command, self.path)
            return error_answer(StatusError("INTERNAL", "Internal error, see log."))

    def _refusal(self, error: StatusError) -> Answer:
        # What is left of the body would be read as the next request.
        self.close_connection = self._refused = True
        return error_answer(error)

    def _send(self, answer: Answer) -> None:
        self.close_connection |= self.server.connections.closing
        data = _message(answer, self.close_connection, self.command != "HEAD")
        # The timeout of sendall is that of the whole, unlike that of a file's writes.
        self.connection.settimeout(self.server.request_seconds)
        self.connection.sendall(data)


def _message(answer: Answer, close: bool, with_body: bool = True) -> bytes:
    head = [
        f"HTTP/1.1 {answer.code} {_REASONS.get(answer.code, 'Unknown')}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        *(["Connection: close"] if close else []),
    ]
    text = "\r\n".join([*head, "", ""])
    return text.encode() + (answer.body if with_body else b"")
