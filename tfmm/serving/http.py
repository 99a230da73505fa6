"""HTTP/1.1 around the REST routes: bodies, keep-alive, limits."""

import logging
import re
import zlib
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tfmm.serving.rest import Answer, error_answer, respond
from tfmm.serving.status import StatusError, invalid
from tfmm.serving.versions import ModelManager

MAX_BODY_BYTES = 64 << 20
IDLE_SECONDS = 60
_HEXADECIMAL = re.compile(rb"[0-9A-Fa-f]{1,15}")
_GZIP = 16 + zlib.MAX_WBITS
_LOG = logging.getLogger("tfmm.serving")


class RestServer(ThreadingHTTPServer):
    """Answers TF Serving's REST calls, one thread a connection.

    It takes its port at once and refuses connections until `open`.

    Args:
        address: Host and port; port 0 takes a free one.
        max_body_bytes: Longest body, also once inflated; longer ones get a 413.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self,
        address: tuple[str, int],
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> None:
        self.max_body_bytes = max_body_bytes
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
            target = self.path.encode("latin-1").decode("utf-8", "surrogateescape")
            answer = respond(self.server.manager, self.command, target, body)
        except StatusError as error:
            # What is left of the body would be read as the next request.
            self.close_connection = True
            answer = error_answer(error)
        except ConnectionError:
            self.close_connection = True
            return
        except Exception:
            _LOG.exception("%s %s failed", self.command, self.path)
            answer = error_answer(StatusError("INTERNAL", "Internal error, see log."))
        self._send(answer)

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
        data = self.rfile.read(size)
        if len(data) < size:
            raise ConnectionAbortedError("the client went away")
        return data

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
