import hashlib

import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.identity import (
    VARIABLE,
    key_check,
    read_secret,
    require_key,
    user_key,
    user_keys,
)

SECRET = b"0123456789abcdef"


def test_keys_depend_on_the_user_and_the_secret():
    keys = user_keys(["a", "b", "a"], SECRET)
    assert keys.dtype == np.int64 and (keys >= 0).all()
    assert keys[0] == keys[2] != keys[1]
    assert user_keys(["a"], SECRET[::-1])[0] != keys[0]


@pytest.mark.parametrize("secret", [SECRET, b"k" * 100])
def test_keys_by_the_hash_itself(secret):
    users = ["", "a", "Größe", "u" * 300]
    digests = [
        hashlib.blake2b(user.encode(), digest_size=8, key=secret[:64]).digest()
        for user in users
    ]
    expected = [int.from_bytes(digest, "little") >> 1 for digest in digests]
    assert user_keys(users, secret).tolist() == expected
    assert [user_key(user, secret) for user in users] == expected
    assert user_keys([], secret).tolist() == []


def test_secret_from_file_before_variable(tmp_path, monkeypatch):
    monkeypatch.setenv(VARIABLE, "of the environment")
    (tmp_path / "key").write_bytes(b" \xff" + SECRET + b"\n")
    assert read_secret(tmp_path / "key") == b"\xff" + SECRET
    assert read_secret() == b"of the environment"


@pytest.mark.parametrize("value", ["", "short"])
def test_no_secret(monkeypatch, value):
    monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(TfmmError, match=f"Received: {len(value)} bytes"):
        read_secret()


def test_absent_key_file(tmp_path):
    with pytest.raises(TfmmError, match="There is no key file"):
        read_secret(tmp_path / "absent")


def test_another_key_is_refused_by_its_check():
    mine = key_check(SECRET)
    assert len(bytes.fromhex(mine)) == 8 and mine == key_check(SECRET)
    require_key(mine, SECRET, "`folder`")
    for found in (key_check(SECRET[::-1]), None):
        with pytest.raises(TfmmError, match="`folder` has users hashed with another"):
            require_key(found, SECRET, "`folder`")
