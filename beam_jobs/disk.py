"""What a full or forbidden disk raises, as errors that teach."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from tfmm.errors import TfmmError

_FULL = (errno.ENOSPC, errno.EDQUOT)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


@contextmanager
def teaching(path: str) -> Iterator[None]:
    """Turns what a full or forbidden disk raises into an error that teaches."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise TfmmError(
                f"The disk of `{path}` is full. Make room and run the same command "
                "again: what is finished is kept and not made again."
            ) from error
        if error.errno in _FORBIDDEN:
            raise TfmmError(
                f"`{path}` cannot be written. Expected: a folder that you may write "
                f"to. Received: {error.strerror}. Choose another one."
            ) from error
        raise
