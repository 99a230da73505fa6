import pytest

from beam_jobs.kernels.fetch import fetch


def test_fetch(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"12345")
    for value in (b"12345", "a.jpg", str(tmp_path / "a.jpg")):
        assert fetch(value, tmp_path, 5) == (b"12345", "")
        assert fetch(value, tmp_path, 4) == (b"", "too_many_bytes")
    assert fetch((tmp_path / "a.jpg").as_uri(), tmp_path, 5) == (b"12345", "")


@pytest.mark.parametrize(
    "value", ["absent.jpg", ".", "a\0b", "nowhere://x/y.jpg", "http://", "x" * 5000]
)
def test_unreadable_paths(tmp_path, value):
    assert fetch(value, tmp_path, 5) == (b"", "unreadable_path")
