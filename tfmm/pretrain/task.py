"""What one contrastive task compares: a query's modality with an item's."""

from dataclasses import dataclass
from typing import Any

from tfmm.errors import TfmmError

MODALITIES = ("image", "text")


@dataclass(frozen=True)
class Task:
    """One contrastive task, e.g. search words against the bought item's picture.

    Args:
        query: The modality of the query, `"image"` or `"text"`.
        item: The modality of the item.

    Example:
        >>> Task.parse("text->image").name
        'text_to_image'
        >>> Task.parse("image->image").name
        'image'
    """

    query: str
    item: str

    @classmethod
    def parse(cls, text: str) -> "Task":
        """The task that `"query modality->item modality"` names."""
        known = [f"{query}->{item}" for query in MODALITIES for item in MODALITIES]
        if text not in known:
            raise TfmmError(
                f"Unknown task. Received: {text!r}. Use some of: {', '.join(known)}."
            )
        query, item = text.split("->")
        return cls(query, item)

    @property
    def name(self) -> str:
        """How the task's metrics are called."""
        return self.item if self.query == self.item else f"{self.query}_to_{self.item}"

    def __str__(self) -> str:
        return f"{self.query}->{self.item}"


def resolve_tasks(tasks: list[str] | None, encoders: dict[str, Any]) -> list[Task]:
    """The tasks asked for, or one per modality, checked against the encoders given.

    Raises:
        TfmmError: If a task is unknown, appears twice, lacks an encoder or joins
            encoders of two dimensions, or an encoder is left without a task.
    """
    modalities = list(encoders)
    texts = [f"{name}->{name}" for name in modalities] if tasks is None else list(tasks)
    parsed = [Task.parse(text) for text in texts]
    if not parsed or len(set(parsed)) < len(parsed):
        raise TfmmError(
            f"`tasks` must name each task once and at least one. Received: {tasks}."
        )
    used = {task.query for task in parsed} | {task.item for task in parsed}
    if missing := sorted(used - set(modalities)):
        raise TfmmError(
            f"The tasks need an encoder that was not given: {', '.join(missing)}. "
            f"Received: tasks={texts}, encoders for {modalities}. Pass `{missing[0]}=`."
        )
    if idle := sorted(set(modalities) - used):
        raise TfmmError(
            f"No task trains the encoder of: {', '.join(idle)}. Received: "
            f"tasks={texts}. Add a task for it or leave the encoder away."
        )
    for task in parsed:
        pair = encoders[task.query].dimension, encoders[task.item].dimension
        if pair[0] != pair[1]:
            raise TfmmError(
                f"The two encoders of task {task} must have one dimension. Received: "
                f"{pair[0]} and {pair[1]}. Build them with the same `dimension`."
            )
    return parsed
