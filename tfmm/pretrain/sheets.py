"""Nearest-neighbour sheets: pictures of what a model finds near what."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageOps

from tfmm.errors import TfmmError
from tfmm.pretrain.sheet_text import fitting_lines, font

Picture = bytes | np.ndarray | None
_INK, _SOFT, _LINE, _PAPER = "#1d2330", "#687083", "#dfe3ea", "#ffffff"
_RIGHT, _EMPTY, _HEAD = "#16853f", "#f1f3f6", "#f6f7f9"
_GAP, _PAD, _CAPTION = 14, 24, 52


@dataclass(frozen=True)
class Cell:
    """One picture with words on a sheet.

    Attributes:
        title: The words below, in any script; cut where they do not fit.
        picture: JPEG or PNG bytes, uint8 `[H, W, 3]`, or `None`. Without a picture the
            words take its place.
        note: A short remark, e.g. the cosine.
        right: Whether it is the right answer, and gets a green frame.
    """

    title: str = ""
    picture: Picture = None
    note: str = ""
    right: bool = False


@dataclass(frozen=True)
class SheetRow:
    """A query, the item bought and the nearest items, best first.

    Attributes:
        query: The query's picture, or its words as title.
        bought: The item that answers the query.
        nearest: The nearest items.
    """

    query: Cell
    bought: Cell
    nearest: Sequence[Cell]


def save_sheet(
    path: str | Path, rows: Sequence[SheetRow], title: str = "", side: int = 128
) -> Path:
    """Draws a sheet, one line a query, and saves it as a PNG file.

    Args:
        path: Where to; must end in `.png`.
        rows: The lines, from `sheet_rows` or made by hand.
        title: Above the lines.
        side: Side of a picture in pixels.

    Returns:
        The path.

    Raises:
        TfmmError: If there is no line, or the path is no `.png`.

    Example:
        >>> import tempfile
        >>> line = SheetRow(Cell("red hat"), Cell("Hat"), [Cell("Cap", note="0.91")])
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = save_sheet(f"{folder}/sheet.png", [line])
        ...     Image.open(path).size
        (474, 254)
    """
    path = Path(path)
    if path.suffix.lower() != ".png" or not rows or side < 32:
        raise TfmmError(
            "A sheet needs lines, a side of at least 32 pixels and a name that ends in "
            f".png. Received: {len(rows)} lines, side={side}, {path.name!r}. "
            "Pass what `sheet_rows` returns."
        )
    sheet(rows, title, side).save(path, optimize=True)
    return path


def sheet(rows: Sequence[SheetRow], title: str = "", side: int = 128) -> Image.Image:
    """The sheet as an RGB picture, see `save_sheet`."""
    columns = 2 + max(len(row.nearest) for row in rows)
    top = _PAD + (44 if title else 0)
    step = side + _CAPTION + _GAP
    split = _PAD + 2 * (side + _GAP) + _GAP
    width = split + (columns - 2) * (side + _GAP) - _GAP + _PAD
    height = top + 28 + len(rows) * step + 8
    canvas = Image.new("RGB", (width, height), _PAPER)
    draw = ImageDraw.Draw(canvas)
    if title:
        draw.text((_PAD, _PAD - 4), title, _INK, font(22, title, bold=True))
    left_of = [
        _PAD + i * (side + _GAP) if i < 2 else split + (i - 2) * (side + _GAP)
        for i in range(columns)
    ]
    heads = ["query", "bought", *(str(i + 1) for i in range(columns - 2))]
    for left, head in zip(left_of, heads, strict=True):
        draw.text((left, top), head, _SOFT, font(13, head, bold=True))
    for number, row in enumerate(rows):
        y = top + 28 + number * step
        for left, cell in zip(
            left_of, [row.query, row.bought, *row.nearest], strict=False
        ):
            _draw_cell(canvas, draw, left, y, side, cell)
    line = split - _GAP - 1
    draw.line([(line, top), (line, height - _PAD)], _LINE, 2)
    return canvas


def _draw_cell(
    canvas: Image.Image,
    draw: ImageDraw.ImageDraw,
    left: int,
    top: int,
    side: int,
    cell: Cell,
) -> None:
    box = (left, top, left + side - 1, top + side - 1)
    picture = _open(cell.picture, side)
    words = cell.title or "(no words)"
    if picture is None:
        draw.rounded_rectangle(box, 6, _EMPTY)
        lines = fitting_lines(words, 16, side - 20, 5)
        y = top + (side - 21 * len(lines)) // 2
        for line in lines:
            draw.text((left + side // 2, y), line, _INK, font(16, line), anchor="ma")
            y += 21
    else:
        canvas.paste(picture, (left, top))
        draw.rectangle(box, outline=_LINE)
    if cell.right:
        frame = (box[0] - 4, box[1] - 4, box[2] + 4, box[3] + 4)
        draw.rounded_rectangle(frame, 6, outline=_RIGHT, width=4)
    y = top + side + 7
    if cell.note:
        colour = _RIGHT if cell.right else _SOFT
        draw.text((left, y), cell.note, colour, font(13, cell.note, bold=True))
        y += 17
    if picture is not None and cell.title:
        for line in fitting_lines(cell.title, 12, side, 2):
            draw.text((left, y), line, _INK, font(12, line))
            y += 15


def _open(picture: Picture, side: int) -> Image.Image | None:
    """The picture fitted into a square on a light ground; None if it is unreadable."""
    if picture is None or len(picture) == 0:
        return None
    try:
        if isinstance(picture, bytes):
            opened: Image.Image = Image.open(
                io.BytesIO(picture), formats=("JPEG", "PNG")
            )
        else:
            opened = Image.fromarray(np.asarray(picture, np.uint8))
        rgb = opened.convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return ImageOps.pad(rgb, (side, side), Image.Resampling.LANCZOS, _HEAD)
