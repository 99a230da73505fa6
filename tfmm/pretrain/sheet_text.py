"""Words on pictures: fonts that know the script, and lines that fit."""

import unicodedata
from functools import lru_cache

from PIL import ImageFont

# Tried in turn; Pillow looks them up in the system's font folders.
_PLAIN = (
    "DejaVuSans.ttf",
    "NotoSans-Regular.ttf",
    "LiberationSans-Regular.ttf",
    "Arial.ttf",
    "Arial Unicode.ttf",
)
_BOLD = ("DejaVuSans-Bold.ttf", "NotoSans-Bold.ttf", "LiberationSans-Bold.ttf")
# Fonts of scripts that the plain ones lack.
_WIDE = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansCJKsc-Regular.otf",
    "wqy-zenhei.ttc",
    "wqy-microhei.ttc",
    "DroidSansFallbackFull.ttf",
    "Arial Unicode.ttf",
    "msyh.ttc",
    "PingFang.ttc",
    "unifont.ttf",
)
_ELLIPSIS = "…"


def font(
    size: int, text: str = "", bold: bool = False
) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The first font found that can draw all of a text, or else any font.

    Args:
        size: Height in pixels.
        text: What is to be drawn.
        bold: Whether a bold one is preferred.
    """
    names = ((*_BOLD, *_PLAIN) if bold else _PLAIN) + _WIDE
    found = [one for name in names if (one := _load(name, size)) is not None]
    for one in found:
        if all([_draws(one, letter) for letter in set(text)]):
            return one
    return found[0] if found else ImageFont.load_default(size)


def fitting_lines(text: str, size: int, width: int, most: int) -> list[str]:
    """A text as lines no wider than so many pixels, cut with an ellipsis at the end.

    Words are kept whole where they fit; scripts without spaces break anywhere.

    Args:
        text: The text; control characters and runs of white space become one space.
        size: The font's height.
        width: Of the lines, in pixels.
        most: How many lines at most.

    Example:
        >>> fitting_lines("Turtle Check Men Navy Blue Shirt", 12, 80, 2)
        ['Turtle Check', 'Men Navy…']
        >>> len(fitting_lines("x" * 500, 12, 80, 3))
        3
    """
    text = "".join(" " if unicodedata.category(c)[0] == "C" else c for c in text)
    words = text.split()
    # One font for all lines, so that their widths agree.
    drawn = font(size, text)
    lines: list[str] = []
    while words and len(lines) < most:
        line, words = _line(words, drawn, width)
        lines.append(line)
    if words:
        last = lines[-1]
        while last and drawn.getlength(last + _ELLIPSIS) > width:
            last = last[:-1]
        lines[-1] = last.rstrip() + _ELLIPSIS
    return lines


def _line(
    words: list[str], drawn: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int
) -> tuple[str, list[str]]:
    count = 1
    while count < len(words) and (
        drawn.getlength(" ".join(words[: count + 1])) <= width
    ):
        count += 1
    line, rest = " ".join(words[:count]), words[count:]
    if drawn.getlength(line) <= width:
        return line, rest
    cut = len(line)
    while cut > 1 and drawn.getlength(line[:cut]) > width:
        cut -= 1
    return line[:cut], [line[cut:], *rest]


@lru_cache
def _load(name: str, size: int) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:
        return None


@lru_cache(65536)
def _draws(one: ImageFont.FreeTypeFont, letter: str) -> bool:
    """Whether a font has a glyph of its own for a letter."""
    if letter.isspace() or unicodedata.combining(letter):
        return True
    missing = bytes(one.getmask("\U0010fffe"))
    return bytes(one.getmask(letter)) != missing
