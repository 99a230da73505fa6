"""Titles as item and pair records hold them."""

import re
import unicodedata

MAX_TITLE = 512
_SPACE = re.compile(r"\s+")


def title(text: str | None) -> str:
    """A title in Unicode NFKC, without control characters or doubled spaces.

    Example:
        >>> title("  Red\\tＳｈｏｅ ")
        'Red Shoe'
    """
    clean = unicodedata.normalize("NFKC", text or "")
    clean = "".join(
        c for c in clean if c.isspace() or unicodedata.category(c)[0] != "C"
    )
    return _SPACE.sub(" ", clean).strip()[:MAX_TITLE].rstrip()
