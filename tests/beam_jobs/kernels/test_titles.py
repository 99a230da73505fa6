import pytest

from beam_jobs.kernels.titles import title


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, ""),
        (" \t\n ", ""),
        ("  Red\tＳｈｏｅ\n", "Red Shoe"),
        ("a \u200b b\x00c", "a bc"),
        ("x" * 600, "x" * 512),
    ],
)
def test_titles(text, expected):
    assert title(text) == expected
