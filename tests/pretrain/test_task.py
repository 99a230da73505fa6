from types import SimpleNamespace

import pytest

from tfmm.errors import TfmmError
from tfmm.pretrain.task import Task, resolve_tasks
from tfmm.pretrain.towers import check_encoders, item_towers, own_query_towers


def encoders(*names, **dimensions):
    return {name: SimpleNamespace(dimension=dimensions.get(name, 4)) for name in names}


@pytest.mark.parametrize(
    "text, name, task",
    [
        ("image->image", "image", Task("image", "image")),
        ("search:text->image", "text_to_image", Task("text", "image")),
        ("clicked:image->image", "clicked_image", Task("image", "image", "clicked")),
        ("item:text->image", "item_text_to_image", Task("text", "image", "item")),
        ("fused->vector", "fused_to_vector", Task("fused", "vector")),
    ],
)
def test_grammar(text, name, task):
    assert Task.parse(text) == task
    assert task.name == name
    assert Task.parse(str(task)) == task


@pytest.mark.parametrize(
    "text",
    ["video->image", "text", "bought:text->image", ":text->image", "a:b:text->text", 3],
)
def test_unknown_tasks(text):
    with pytest.raises(TfmmError, match=r"Unknown task.*source of search, clicked"):
        Task.parse(text)


def test_default_tasks():
    names = [str(task) for task in resolve_tasks(None, encoders("image", "vector"))]
    assert names == ["image->image", "clicked:vector->vector"]


def test_a_fused_task_uses_both_its_parts():
    assert resolve_tasks(["fused->fused"], encoders("image", "text", "fused"))
    with pytest.raises(TfmmError, match="not given: text"):
        resolve_tasks(["fused->fused"], encoders("image", "fused"))
    with pytest.raises(TfmmError, match="Pass `fusion=`"):
        resolve_tasks(["fused->fused"], encoders("image", "text"))


def test_the_same_modalities_of_two_sources_are_two_tasks():
    tasks = ["image->image", "item:image->image"]
    assert len(resolve_tasks(tasks, encoders("image"))) == 2
    with pytest.raises(TfmmError, match="each task once"):
        resolve_tasks(["image->image", "search:image->image"], encoders("image"))


def test_query_towers_of_their_own():
    def own(*texts):
        return own_query_towers([Task.parse(text) for text in texts])

    assert own("text->image", "image->image") == {}
    # Titles are embedded as items; both sources of words share one query tower.
    texts = ("text->image", "item:text->image", "text->text")
    assert own(*texts) == {"text_to_image": "text"}
    # Titles are embedded as a part of the fused vector.
    assert own("text->fused") == {"text_to_fused": "text"}
    assert own("fused->image") == {}
    assert own("fused->image", "fused->fused") == {"fused_to_image": "fused"}
    assert item_towers([Task("image", "fused")]) == ("image", "text", "fused")


def test_encoders_under_their_names():
    fused = SimpleNamespace(modality="fused")
    assert check_encoders(image=None, fusion=fused) == {"fused": fused}
    with pytest.raises(TfmmError, match="`fusion=` takes"):
        check_encoders(fusion=SimpleNamespace(modality="text"))
