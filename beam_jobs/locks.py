"""Locks on this machine that end with their process, however it ends."""

import fcntl
import os


def lock(path: str, folder: bool = False) -> int | None:
    """Locks a file, which is made, or a folder that is there.

    Args:
        path: What to lock.
        folder: Whether it is a folder.

    Returns:
        A descriptor to close, which unlocks it; `None` while somebody else holds it,
        or where the folder is gone.
    """
    while True:
        try:
            held = os.open(path, os.O_RDONLY if folder else os.O_RDWR | os.O_CREAT)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.stat(path), os.fstat(held)):
                return held
        except BlockingIOError:
            os.close(held)
            return None
        except FileNotFoundError:
            pass
        # Its holder removed it between our opening and locking it.
        os.close(held)
