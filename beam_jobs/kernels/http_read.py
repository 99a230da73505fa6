"""One read of a picture over HTTP, in limited bytes and time."""

import email.utils
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable
from http.client import HTTPException, HTTPResponse, IncompleteRead
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urljoin, urlsplit, urlunsplit

from beam_jobs.kernels.retries import ReadError

SCHEMES = ("http", "https")
_HEADERS = {"User-Agent": "tfmm", "Accept": "image/*,*/*;q=0.5"}
_REDIRECTS = (301, 302, 303, 307, 308)
_MOST_REDIRECTS = 5
_TOO_MANY_REQUESTS, _FIRST_SERVER_ERROR = 429, 500
_CHUNK = 1 << 16
# What may stand in a URL; all else (spaces, letters of other alphabets) is quoted.
_SAFE = "%/:=&?~#+!$,;'@()*[]"


def read_http(
    url: str,
    max_bytes: int,
    seconds: float,
    deadline: float,
    clock: Callable[[], float] = time.monotonic,
) -> bytes:
    """The body behind a URL.

    Redirects lead to `http` and `https` alone, never to a file of this machine. A body
    that ends early counts as a lost connection.

    Args:
        url: `http://` or `https://`.
        max_bytes: More are not read.
        seconds: Longest wait for the next bytes.
        deadline: The moment of `clock` by which all must be read.
        clock: The time in seconds.

    Raises:
        ReadError: `http_404` and its like, `timeout`, `connection` (refused, lost, no
            such host, no valid certificate), `redirect` (to another scheme, or too
            many), `too_many_bytes` or `unreadable_path` (no URL).
    """
    try:
        with _opened(url, seconds, deadline, clock) as response:
            return _body(response, max_bytes, deadline, clock)
    except ReadError:
        raise
    except TimeoutError as error:
        raise ReadError("timeout", transient=True) from error
    except (ConnectionError, IncompleteRead) as error:
        raise ReadError("connection", transient=True) from error
    except URLError as error:
        raise _unconnected(error) from error
    except ssl.SSLError as error:
        raise ReadError("connection") from error
    except (OSError, ValueError, HTTPException) as error:
        raise ReadError("unreadable_path") from error


def _opened(
    url: str, seconds: float, deadline: float, clock: Callable[[], float]
) -> HTTPResponse:
    """The response, after redirects."""
    opener = _opener()
    for _ in range(_MOST_REDIRECTS + 1):
        left = deadline - clock()
        if left <= 0:
            raise ReadError("timeout")
        request = urllib.request.Request(_quoted(url), headers=_HEADERS)
        try:
            return opener.open(request, timeout=min(seconds, left))
        except HTTPError as error:
            with error:  # Its body is not read: it may have no end.
                if error.code not in _REDIRECTS:
                    raise _refused(error) from error
                url = urljoin(url, error.headers.get("Location", ""))
        if urlsplit(url).scheme not in SCHEMES:
            break
    raise ReadError("redirect")


def _opener() -> urllib.request.OpenerDirector:
    """Without the handlers of files and FTP, and without those of redirects."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
    ):
        opener.add_handler(handler())
    return opener


def _quoted(url: str) -> str:
    scheme, host, path, query, _ = urlsplit(url)
    return urlunsplit((scheme, host, quote(path, _SAFE), quote(query, _SAFE), ""))


def _body(
    response: HTTPResponse,
    max_bytes: int,
    deadline: float,
    clock: Callable[[], float],
) -> bytes:
    expected = response.length  # None where the server does not say.
    if expected is not None and expected > max_bytes:
        raise ReadError("too_many_bytes")
    data = bytearray()
    while len(data) != expected:
        # One receive at a time: what trickles in cannot outlast the deadline.
        chunk = response.read1(_CHUNK)
        if not chunk:
            break
        data += chunk
        if len(data) > max_bytes:
            raise ReadError("too_many_bytes")
        if clock() > deadline:
            raise ReadError("timeout")
    if expected is not None and len(data) < expected:
        raise ReadError("connection", transient=True)
    return bytes(data)


def _refused(error: HTTPError) -> ReadError:
    busy = error.code == _TOO_MANY_REQUESTS or error.code >= _FIRST_SERVER_ERROR
    wait = _retry_after(error.headers.get("Retry-After", "")) if busy else 0
    return ReadError(f"http_{error.code}", busy, wait)


def _retry_after(value: str) -> float:
    """Seconds, given as such or as a date; 0 where it is neither."""
    try:
        return max(0.0, float(value))
    except ValueError:
        pass
    try:
        date = email.utils.parsedate_to_datetime(value)
    except ValueError:
        return 0
    return max(0.0, date.timestamp() - time.time())


def _unconnected(error: URLError) -> ReadError:
    """Why there was no connection."""
    cause = error.reason
    if isinstance(cause, TimeoutError):
        return ReadError("timeout", transient=True)
    if isinstance(cause, ConnectionError):
        return ReadError("connection", transient=True)
    if isinstance(cause, socket.gaierror):
        return ReadError("connection", transient=cause.errno == socket.EAI_AGAIN)
    return ReadError("connection" if isinstance(cause, OSError) else "unreadable_path")
