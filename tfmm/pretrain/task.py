"""What one contrastive task compares: a query's modality with an item's."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tfmm.errors import TfmmError
from tfmm.records.sources import SOURCES

MODALITIES = ("image", "text", "vector", "fused")
# A fused vector is made of the vectors of these.
FUSED_OF = ("image", "text")
# Within its modality; a search has no vector of its own, a clicked item has.
_DEFAULT_TASKS = {
    "image": "image->image",
    "text": "text->text",
    "vector": "clicked:vector->vector",
    "fused": "fused->fused",
}


@dataclass(frozen=True)
class Task:
    """One contrastive task, e.g. search words against the bought item's picture.

    Args:
        query: The modality of the query: `"image"`, `"text"`, `"vector"` or `"fused"`.
        item: The modality of the item, one of the same.
        source: Where its pairs come from: `"search"` (a search -> the item bought),
            `"clicked"` (an item clicked in it -> the item bought) or `"item"` (the
            item itself, e.g. its title -> its photo).

    Example:
        >>> Task.parse("text->image").name
        'text_to_image'
        >>> Task.parse("clicked:image->image").name
        'clicked_image'
    """

    query: str
    item: str
    source: str = SOURCES[0]

    @classmethod
    def parse(cls, text: str) -> "Task":
        """The task that `"[source:]query modality->item modality"` names."""
        source, colon, pair = str(text).rpartition(":")
        query, _, item = pair.partition("->")
        known = query in MODALITIES and item in MODALITIES
        if not known or (colon and source not in SOURCES):
            raise TfmmError(
                f"Unknown task. Received: {text!r}. Write `[source:]query->item` with "
                f"a source of {', '.join(SOURCES)} (search if left out) and "
                f"modalities of {', '.join(MODALITIES)}, e.g. 'text->image'."
            )
        return cls(query, item, source or SOURCES[0])

    @property
    def direction(self) -> str:
        """Its modalities alone; tasks of one direction share a query tower."""
        return self.item if self.query == self.item else f"{self.query}_to_{self.item}"

    @property
    def name(self) -> str:
        """How the task's metrics are called."""
        prefix = "" if self.source == SOURCES[0] else f"{self.source}_"
        return prefix + self.direction

    def __str__(self) -> str:
        prefix = "" if self.source == SOURCES[0] else f"{self.source}:"
        return f"{prefix}{self.query}->{self.item}"


def parts_of(modality: str) -> tuple[str, ...]:
    """The modalities that have media of their own behind a modality.

    Example:
        >>> parts_of("fused"), parts_of("text")
        (('image', 'text'), ('text',))
    """
    return FUSED_OF if modality == "fused" else (modality,)


def resolve_tasks(
    tasks: Sequence[str] | None, encoders: Mapping[str, Any]
) -> list[Task]:
    """The tasks asked for, or one per modality, checked against the encoders given.

    Raises:
        TfmmError: If a task is unknown, appears twice, lacks an encoder or joins
            encoders of two dimensions, or an encoder is left without a task.
    """
    if tasks is None:
        tasks = [_DEFAULT_TASKS[name] for name in encoders]
    parsed = [Task.parse(text) for text in tasks]
    if not parsed or len(set(parsed)) < len(parsed):
        raise TfmmError(
            f"`tasks` must name each task once and at least one. Received: {tasks}."
        )
    _check_encoders_used(parsed, encoders)
    for task in parsed:
        pair = encoders[task.query].dimension, encoders[task.item].dimension
        if pair[0] != pair[1]:
            raise TfmmError(
                f"The two encoders of task {task} must have one dimension. Received: "
                f"{pair[0]} and {pair[1]}. Build them with the same `dimension`."
            )
    return parsed


def _check_encoders_used(tasks: Sequence[Task], encoders: Mapping[str, Any]) -> None:
    named = {task.query for task in tasks} | {task.item for task in tasks}
    used = named | {part for name in named for part in parts_of(name)}
    texts = [str(task) for task in tasks]
    if missing := [name for name in MODALITIES if name in used - set(encoders)]:
        argument = "fusion" if missing[0] == "fused" else missing[0]
        raise TfmmError(
            f"The tasks need an encoder that was not given: {', '.join(missing)}. "
            f"Received: tasks={texts}, encoders for {list(encoders)}. Pass "
            f"`{argument}=`."
        )
    if idle := sorted(set(encoders) - used):
        raise TfmmError(
            f"No task trains the encoder of: {', '.join(idle)}. Received: "
            f"tasks={texts}. Add a task for it or leave the encoder away."
        )
