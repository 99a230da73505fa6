"""Canonical status codes of a model server, and their HTTP codes."""

from tfmm.errors import TfmmError

HTTP_CODES = {
    "OK": 200,
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "DATA_LOSS": 500,
    "UNAUTHENTICATED": 401,
}
# The names by their number, which is their place.
CODES = tuple(HTTP_CODES)


class StatusError(TfmmError):
    """An answer other than OK.

    Args:
        code: Name of the canonical code, e.g. `"NOT_FOUND"`.
        message: What the client reads.
        http_code: HTTP code, where it is not the one of `code`.

    Example:
        >>> StatusError("NOT_FOUND", "no such model").http_code
        404
    """

    def __init__(self, code: str, message: str, http_code: int | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.http_code = http_code or HTTP_CODES.get(code, 500)


def invalid(message: str) -> StatusError:
    """An INVALID_ARGUMENT."""
    return StatusError("INVALID_ARGUMENT", message)
