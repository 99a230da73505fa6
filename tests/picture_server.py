"""A web server of pictures with every fault that there is."""

import contextlib
import threading
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

BODY = b"a picture's bytes"


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        server = self.server
        name = self.path[1:].split("?")[0]
        with server.lock:
            server.asked[name] += 1
            server.now += 1
            server.most = max(server.most, server.now)
        try:
            asked = server.asked[name]
            with contextlib.suppress(OSError):
                getattr(self, f"_{name.split('/')[0].replace('-', '_')}")(asked)
        finally:
            with server.lock:
                server.now -= 1

    def _answer(self, status=200, body=BODY, length=None, **headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def _good(self, asked):
        time.sleep(0.01)
        self._answer(body=self.path.encode())

    def _no_length(self, asked):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(BODY)

    def _flaky(self, asked):
        self._answer(503 if asked <= 2 else 200)

    def _busy(self, asked):
        headers = {"Retry_After": "7"} if asked == 1 else {}
        self._answer(429 if asked == 1 else 200, **headers)

    def _down(self, asked):
        self._answer(500)

    def _absent(self, asked):
        self._answer(404)

    def _lost(self, asked):
        if asked > 2:
            self._answer()

    def _short(self, asked):
        self._answer(length=len(BODY) + (asked <= 2))

    def _hangs(self, asked):
        self.server.released.wait(20)

    def _trickles(self, asked):
        self.send_response(200)
        self.end_headers()
        while not self.server.released.wait(0.05):
            self.wfile.write(b".")

    def _endless(self, asked):
        self.send_response(200)
        self.end_headers()
        while True:
            self.wfile.write(bytes(1 << 16))

    def _announced(self, asked):
        self._answer(length=10**12)

    def _moved(self, asked):
        self._answer(302, Location="/good/after%20a%20move")

    def _file(self, asked):
        self._answer(302, Location=self.server.secret.as_uri())

    def _ftp(self, asked):
        self._answer(301, Location="ftp://localhost/x.jpg")

    def _loop(self, asked):
        self._answer(302, Location="/loop")

    def _garbage(self, asked):
        self.wfile.write(b"garbage\r\n\r\n")

    def log_message(self, *args):
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, request, client_address):
        pass


@contextlib.contextmanager
def picture_server(secret):
    """Runs the server; `secret` is a file that no redirect may reach."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.asked, server.lock = Counter(), threading.Lock()
    server.now = server.most = 0
    server.secret, server.released = secret, threading.Event()
    server.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.released.set()
        server.shutdown()
        server.server_close()
        thread.join()
