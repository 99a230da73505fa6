"""Keyed hashes in place of user ids, from the first job on."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfmm.errors import TfmmError

VARIABLE = "TFMM_USER_KEY"
MIN_BYTES = 16
_BYTES = 8
_CHECKED = b"tfmm: this key hashed the users"


def user_key(user: str, secret: bytes) -> int:
    """The keyed hash of a raw user id: 63 bits, never negative.

    The same user and secret always give the same key; without the secret a key cannot
    be traced back by trying ids.

    Example:
        >>> user_key("42", b"0123456789abcdef") == user_key("42", b"0123456789abcdef")
        True
        >>> user_key("42", b"0123456789abcdef") == user_key("42", b"fedcba9876543210")
        False
    """
    return int(user_keys([user], secret)[0])


def user_keys(users: Sequence[str], secret: bytes) -> np.ndarray:
    """`user_key` of each, int64 `[len(users)]`."""
    keyed = hashlib.blake2b(digest_size=_BYTES, key=secret[:64])
    digests = bytearray()
    for user in users:  # A copy costs a third of a new hash with its key.
        hashed = keyed.copy()
        hashed.update(user.encode())
        digests += hashed.digest()
    return (np.frombuffer(digests, "<u8") >> np.uint64(1)).astype(np.int64)


def key_check(secret: bytes) -> str:
    """Tells keys apart without giving them away: 16 hexadecimal digits.

    A keyed hash of a constant, which outputs with hashed users carry.

    Example:
        >>> key_check(b"0123456789abcdef") == key_check(b"fedcba9876543210")
        False
    """
    return hashlib.blake2b(_CHECKED, digest_size=_BYTES, key=secret[:64]).hexdigest()


def require_key(found: str | None, secret: bytes, what: str) -> None:
    """Refuses an output whose users another key hashed.

    Args:
        found: The `key_check` that the output carries; `None` where it has none.
        secret: The key in use.
        what: The output's name in the error message.

    Raises:
        TfmmError: If the two differ.
    """
    if found != key_check(secret):
        raise TfmmError(
            f"{what} has users hashed with another key, so that no user would be "
            f"known. Expected: key check {key_check(secret)}. Received: "
            f"{found or 'none'}. Give the key that it was made with, or build it again "
            "with this one."
        )


def read_secret(path: str | Path | None = None) -> bytes:
    """The secret from a file, or else from the variable `TFMM_USER_KEY`.

    Raises:
        TfmmError: If there is none, or it is shorter than 16 bytes.
    """
    if path is not None and not Path(path).is_file():
        raise TfmmError(
            f"There is no key file `{path}`. Create it once, for instance by "
            f"`openssl rand -hex 32 > {path}`, and keep it out of the repository."
        )
    found = Path(path).read_bytes() if path else os.environ.get(VARIABLE, "").encode()
    return as_secret(found)


def as_secret(found: bytes) -> bytes:
    """The secret, without the space around it.

    Raises:
        TfmmError: If it is shorter than 16 bytes.
    """
    secret = found.strip()
    if len(secret) < MIN_BYTES:
        raise TfmmError(
            "User ids are hashed with a secret key, and there is none. Expected: at "
            f"least {MIN_BYTES} bytes in a key file or in {VARIABLE}. Received: "
            f"{len(secret)} bytes. Create one by `openssl rand -hex 32`."
        )
    return secret
