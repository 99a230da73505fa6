"""Sheets are drawn for every kind of query, and mark the right answer."""

import io

import numpy as np
import pytest
from PIL import Image

from tfmm.errors import TfmmError
from tfmm.pretrain.sheet_rows import nearest_items, sheet_rows
from tfmm.pretrain.sheet_text import fitting_lines, font
from tfmm.pretrain.sheets import Cell, SheetRow, save_sheet, sheet

GREEN = (0x16, 0x85, 0x3F)
ITEMS = np.array([[1, 0], [0.8, 0.6], [0, 1], [0.6, 0.8]])


def cells(names="abcd"):
    return [Cell(name, np.full((9, 9, 3), 200, "uint8")) for name in names]


def green_columns(picture, top=54, side=128):
    """Which cells have a green pixel just left of them."""
    left_of = [24, 166, *range(322, picture.width - side, 142)]
    found = [picture.getpixel((left - 3, top + side // 2)) == GREEN for left in left_of]
    return found


def test_the_nearest_come_in_order_and_the_bought_one_is_right():
    (row,) = sheet_rows([[1, 0]], ITEMS, [Cell("words")], cells(), [3], n=3)
    assert [cell.title for cell in row.nearest] == ["a", "b", "d"]
    assert [cell.note for cell in row.nearest] == ["1.00", "0.80", "0.60"]
    assert [cell.right for cell in row.nearest] == [False, False, True]
    assert row.bought.title == "d"
    # Columns: query, bought, three neighbours.
    assert green_columns(sheet([row])) == [False, False, False, False, True]


def test_a_group_is_shown_once_and_any_of_it_is_right():
    (row,) = sheet_rows(
        [[1, 0]], ITEMS, [Cell("words")], cells(), [3], n=3, groups=[0, 1, 2, 1]
    )
    assert [(cell.title, cell.right) for cell in row.nearest] == [
        ("a", False), ("b", True), ("c", False),
    ]  # fmt: skip


def test_only_the_nearest_are_looked_at():
    vectors, groups = np.array([[1.0, 0]]), np.array([0, 1, 2, 1])
    assert nearest_items(vectors, ITEMS, n=2, groups=groups) == [[0, 1]]
    some = [*cells("ab"), None, Cell("d")]
    (row,) = sheet_rows(vectors, ITEMS, [Cell("w")], some, [3], n=2, groups=groups)
    assert [cell.title for cell in (row.bought, *row.nearest)] == ["d", "a", "b"]


def test_further_answers_are_right_too():
    (row,) = sheet_rows([[1, 0]], ITEMS, [Cell("w")], cells(), [[3, 0, -1]], n=4)
    assert [cell.right for cell in row.nearest] == [True, False, True, False]


def test_missing_and_damaged_pictures_and_any_script(tmp_path):
    jpeg = io.BytesIO()
    Image.new("RGB", (30, 60), "red").save(jpeg, "JPEG")
    titles = ["Чёрная рубашка", "紺色のシャツ", "قميص أسود", "", "x" * 300, "a\x00\n b"]
    pictures = [None, b"", b"damaged", jpeg.getvalue(), None, jpeg.getvalue()]
    row = SheetRow(
        Cell(picture=jpeg.getvalue()),
        Cell("bought"),
        [Cell(t, p, "0.5") for t, p in zip(titles, pictures, strict=True)],
    )
    path = save_sheet(tmp_path / "a.png", [row, SheetRow(Cell("w"), Cell(), [])], "T")
    with Image.open(path) as picture:
        assert picture.format == "PNG" and picture.width > 8 * 128
        # A tall picture stands in the middle of its square.
        red, green, blue = picture.getpixel((24 + 64, 24 + 44 + 28 + 64))
    assert red > 240 and green < 15 and blue < 15


def test_lines_fit_and_are_cut():
    drawn = font(12)
    for text in ("Turtle Check Men Navy Blue Shirt", "紺" * 90, "word " * 40):
        lines = fitting_lines(text, 12, 90, 2)
        assert len(lines) == 2 and lines[-1].endswith("…")
        assert all(font(12, text).getlength(line) <= 90 for line in lines)
    assert fitting_lines("two words", 12, 300, 2) == ["two words"]
    assert fitting_lines("", 12, 300, 2) == []
    assert drawn.getlength("a") > 0


def test_errors(tmp_path):
    row = SheetRow(Cell("w"), Cell("b"), [])
    with pytest.raises(TfmmError, match="0 lines"):
        save_sheet(tmp_path / "a.png", [])
    with pytest.raises(TfmmError, match=r"ends in \.png"):
        save_sheet(tmp_path / "a.jpg", [row])
    with pytest.raises(TfmmError, match="3 item cells"):
        sheet_rows([[1, 0]], ITEMS, [Cell("w")], cells("abc"), [0])
    with pytest.raises(TfmmError, match=r"answers of shape \(2, 1\)"):
        sheet_rows([[1, 0]], ITEMS, [Cell("w")], cells(), [0, 1])
