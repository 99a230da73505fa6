"""What the sheets of test pairs show, of whom, and with how much in memory."""

import numpy as np
import pytest
from pair_folders import example, jpeg, pair, write

from tfmm.pretrain.embedded import Embedded
from tfmm.pretrain.task import Task
from tfmm.road import sheets

# Candidates 2 to 41 lie on a quarter circle; 3 and 5 are one group.
ROWS = np.arange(2, 42, dtype=np.int32)
GROUPS = np.where(ROWS == 5, 3, ROWS)
ANGLES = np.linspace(0, np.pi / 2, len(ROWS))
VECTORS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1).astype(np.float32)
# The first query bought 2 and, in the same search, of the group of 3; 99 is unknown.
EMBEDDED = Embedded(
    queries=VECTORS[[0, 9]],
    items=np.array([2, 11], np.int32),
    groups=np.array([2, 11], np.int32),
    positives=np.array([[3, 99], [0, 0]], np.int32),
    candidates=VECTORS,
    candidate_items=ROWS,
    candidate_groups=GROUPS,
)


@pytest.fixture
def draw(tmp_path, monkeypatch):
    """A function: task and `show_searches` to the lines of its sheet, if any."""
    items = [
        example(row=row, title=b"item %d" % row, image=jpeg(row))
        for row in ROWS.tolist()
    ]
    write(tmp_path / "items", [items[:20], items[20:]], "items")
    search = {"text": b"private", "image": jpeg(200)}
    clicked = {"source": 1, "query_item": 30}
    records = [pair(2, **search), pair(2, **clicked)]
    records += [pair(11, **search), pair(11, **clicked)]
    write(tmp_path / "pairs", [records])
    batch = {f"has_{x}_{y}": np.ones(4, bool) for x in ("query", "item") for y in MEDIA}
    batch["source"] = np.array([0, 1, 0, 1])
    drawn = {}
    monkeypatch.setattr(
        sheets, "save_sheet", lambda path, lines, title: drawn.update({title: lines})
    )

    def run(task, show_searches):
        sheets.save_sheets(
            tmp_path,
            [task],
            {task.name: EMBEDDED},
            [batch],
            pairs=tmp_path / "pairs",
            items=tmp_path / "items",
            sources=["search", "clicked"],
            show_searches=show_searches,
        )
        return drawn.get(str(task))

    return run


MEDIA = ("image", "text")


@pytest.mark.parametrize("query", MEDIA)
def test_searches_are_private_words_and_pictures_alike(draw, query):
    task = Task(query, "image")
    assert draw(task, show_searches=False) is None
    first, second = draw(task, show_searches=True)
    if query == "text":
        assert (first.query.title, first.query.picture) == ("private", None)
    else:
        assert (first.query.title, first.query.picture) == ("", jpeg(200))
    assert first.bought.title == "item 2" and second.bought.title == "item 11"


def test_clicked_items_are_nobodys_secret(draw):
    lines = draw(Task("image", "image", "clicked"), show_searches=False)
    assert [line.query.picture for line in lines] == [jpeg(30)] * 2


def test_whatever_answers_a_query_is_right(draw):
    first, second = draw(Task("text", "image"), show_searches=True)
    shown = [(cell.title, cell.right) for cell in first.nearest]
    # 5 is of the group of 3, which the nearer of the two stands for.
    assert shown == [
        ("item 2", True),
        ("item 3", True),
        *((f"item {row}", False) for row in (4, 6, 7, 8)),
    ]
    assert [cell.title for cell in second.nearest if cell.right] == ["item 11"]


def test_media_of_what_is_shown_alone_are_read(draw, monkeypatch):
    asked = []
    read = sheets._media

    def counted(folder, rows):
        asked.append(rows)
        return read(folder, rows)

    monkeypatch.setattr(sheets, "_media", counted)
    draw(Task("image", "image", "clicked"), show_searches=False)
    assert len(asked[0]) <= 2 * 7 + 1 and 30 in asked[0]
