"""What a client raises: the server's answer, or that there was none."""

from tfmm.errors import TfmmError


class ServerError(TfmmError):
    """The server's answer to a request it could not serve.

    Args:
        code: HTTP status code, over gRPC that of the same meaning; 0 when no server
            answered.
        message: The server's message.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class InvalidArgument(ServerError):
    """The request does not fit the model: mend it, do not repeat it."""


class PermissionDenied(ServerError):
    """The server, or a proxy before it, does not serve this caller."""


class NotFound(ServerError):
    """There is no such model, version or label."""


class ResourceExhausted(ServerError):
    """The server is too busy; it may be asked again."""


class Internal(ServerError):
    """The server failed at it: look into its log."""


class Unimplemented(ServerError):
    """The server has no such method."""


class Unavailable(ServerError):
    """No server answered, or it is not ready; it may be asked again."""


class DeadlineExceeded(ServerError):
    """No answer came within the timeout."""


_KINDS: dict[int, type[ServerError]] = {
    0: Unavailable,
    400: InvalidArgument,
    401: PermissionDenied,
    403: PermissionDenied,
    404: NotFound,
    408: DeadlineExceeded,
    413: InvalidArgument,
    429: ResourceExhausted,
    500: Internal,
    501: Unimplemented,
    502: Unavailable,
    503: Unavailable,
    504: DeadlineExceeded,
}
MAY_REPEAT = (Unavailable, ResourceExhausted)


def server_error(code: int, message: str) -> ServerError:
    """The error of an HTTP status code.

    Example:
        >>> type(server_error(404, "Servable not found")).__name__
        'NotFound'
    """
    return _KINDS.get(code, ServerError)(code, message)
