"""What the columns of a shop's tables mean: one YAML file, one role a column."""

import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import pydantic
import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from tfmm.errors import TfmmError

Kind = Literal["categorical", "numeric"]
Files = str | list[str]
_Model = TypeVar("_Model", bound=BaseModel)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Table(_Part):
    """A table on disk: files and their columns' roles.

    Args:
        files: A path, a glob or a list of them, relative to the schema's folder.
            Parquet, CSV or JSON lines, by suffix.
    """

    files: Files

    def columns(self) -> dict[str, tuple[str, str, bool]]:
        """Role -> (column, type, required); see `tfmm.tables` for the types."""
        raise NotImplementedError


class Items(Table):
    """The catalogue: one row an item.

    Args:
        id: Column of the item id, text or integer.
        title: Column of the title.
        image: Column of pictures: encoded bytes, or paths or URIs.
        image_root: Folder that relative paths start from.
        features: Further columns as features.
    """

    id: str
    title: str | None = None
    image: str | None = None
    image_root: str | None = None
    features: dict[str, Kind] = {}

    def columns(self) -> dict[str, tuple[str, str, bool]]:
        found = {"id": (self.id, "id", True)}
        if self.title:
            found["title"] = (self.title, "text", False)
        if self.image:
            found["image"] = (self.image, "media", False)
        return found | _features("features", self.features)


class Impressions(Table):
    """The log of what was shown: one row an impression.

    Args:
        user: Column of the user id.
        item: Column of the shown item's id.
        time: Column of the moment.
        labels: Label columns (0 or 1); models train on the first.
        request: Column of the request id. Without it, one user's impressions of one
            moment are one request.
        position: Column of the place in the list.
        base_score: Column of the production model's logged score.
        context: Columns that hold one value a request.
        features: Columns that hold one value a shown item.
    """

    user: str
    item: str
    time: str
    labels: Annotated[list[str], Field(min_length=1)]
    request: str | None = None
    position: str | None = None
    base_score: str | None = None
    context: dict[str, Kind] = {}
    features: dict[str, Kind] = {}

    def columns(self) -> dict[str, tuple[str, str, bool]]:
        found = {
            "user": (self.user, "id", True),
            "item": (self.item, "id", True),
            "time": (self.time, "time", True),
        }
        found |= {f"label:{name}": (name, "number", True) for name in self.labels}
        if self.request:
            found["request"] = (self.request, "id", True)
        if self.position:
            found["position"] = (self.position, "number", False)
        if self.base_score:
            found["base_score"] = (self.base_score, "number", False)
        found |= _features("context", self.context)
        return found | _features("features", self.features)


class Events(Table):
    """What users did: views, carts, orders; one row an event.

    Args:
        user: Column of the user id.
        item: Column of the item id.
        time: Column of the moment.
        type: Column of the event's type; without it every event is a `view`.
    """

    user: str
    item: str
    time: str
    type: str | None = None

    def columns(self) -> dict[str, tuple[str, str, bool]]:
        found = {
            "user": (self.user, "id", True),
            "item": (self.item, "id", True),
            "time": (self.time, "time", True),
        }
        return found | ({"type": (self.type, "text", False)} if self.type else {})


class Searches(Table):
    """Searches that ended in a purchase: one row a search.

    Args:
        time: Column of the moment.
        bought: Column of the bought item's id.
        query_text: Column of the typed words.
        query_image: Column of the query picture: bytes, or paths or URIs.
        image_root: Folder that relative paths start from.
        clicked: Column of the items clicked and not bought: a list, or text joined
            by `|`.
    """

    time: str
    bought: str
    query_text: str | None = None
    query_image: str | None = None
    image_root: str | None = None
    clicked: str | None = None

    def columns(self) -> dict[str, tuple[str, str, bool]]:
        found = {
            "time": (self.time, "time", True),
            "bought": (self.bought, "id", True),
        }
        if self.query_text:
            found["query_text"] = (self.query_text, "text", False)
        if self.query_image:
            found["query_image"] = (self.query_image, "media", False)
        if self.clicked:
            found["clicked"] = (self.clicked, "ids", False)
        return found

    @pydantic.model_validator(mode="after")
    def _has_a_query(self) -> "Searches":
        if not (self.query_text or self.query_image):
            raise ValueError("needs `query_text`, `query_image` or both")
        return self


class Users(Table):
    """Who the users are: one row a user."""

    id: str
    features: dict[str, Kind] = {}

    def columns(self) -> dict[str, tuple[str, str, bool]]:
        return {"id": (self.id, "id", True)} | _features("features", self.features)


class History(_Part):
    """How a user's behaviours become the history of a request.

    Args:
        max_length: Newest behaviours kept, L.
        lag_seconds: Behaviours younger than this are not in the history yet.
        label: Impressions with this label positive are behaviours too, of this type.
            `None`: impressions add nothing.
    """

    max_length: Annotated[int, Field(ge=1)] = 50
    lag_seconds: Annotated[float, Field(ge=0)] = 0
    label: str | None = None


class Requests(_Part):
    """Limits of a request.

    Args:
        max_items: Most candidates of one request, N; more are cut and counted.
    """

    max_items: Annotated[int, Field(ge=1)] = 32


class VocabularyRule(_Part):
    """Which ids get an embedding of their own.

    Args:
        min_count: Fewest training occurrences; rarer values share one embedding.
    """

    min_count: Annotated[int, Field(ge=1)] = 2


class Media(_Part):
    """How pictures are stored in item records.

    Args:
        image_size: Longest side in pixels.
        max_pixels: Pictures with more pixels are refused before decoding.
        max_bytes: Files larger than this are refused before reading.
    """

    image_size: Annotated[int, Field(ge=16, le=2048)] = 224
    max_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    max_bytes: Annotated[int, Field(ge=1)] = 32_000_000


class GlobalTime(_Part):
    """Everything from `test_from` on is the test; see `tfmm.records.split`."""

    rule: Literal["global_time"] = "global_time"
    test_from: datetime.datetime | int
    validation_from: datetime.datetime | int | None = None

    @pydantic.model_validator(mode="after")
    def _in_order(self) -> "GlobalTime":
        validation = self.validation_from
        if validation is not None and microseconds(validation) >= microseconds(
            self.test_from
        ):
            raise ValueError(
                f"validation_from ({validation}) must be earlier than test_from "
                f"({self.test_from})"
            )
        return self


class PerUserLastFraction(_Part):
    """The last moments of every user are the test; see `tfmm.records.split`."""

    rule: Literal["per_user_last_fraction"]
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @pydantic.model_validator(mode="after")
    def _leaves_training(self) -> "PerUserLastFraction":
        if self.test_fraction + self.validation_fraction >= 1:
            raise ValueError("test_fraction + validation_fraction must be below 1")
        return self


Split = Annotated[GlobalTime | PerUserLastFraction, Field(discriminator="rule")]


class Schema(_Part):
    """The roles of all columns, and the rules that turn tables into records.

    Args:
        name: Name of the data set.
        items: The catalogue. Absent when only the log is known.
        impressions: The log.
        events: Further behaviours.
        searches: Searches that ended in a purchase.
        users: The users.
        time_unit: Unit of integer time columns: `s`, `ms` or `us`.
        history: Rule of histories.
        requests: Limits of requests.
        vocabulary: Rule of vocabularies.
        media: Rule of pictures.
        split: The split rule.

    Example:
        >>> schema = Schema.model_validate({
        ...     "name": "shop",
        ...     "impressions": {"files": "log.parquet", "user": "u", "item": "i",
        ...                     "time": "t", "labels": ["click"]},
        ...     "split": {"rule": "global_time", "test_from": 1700000000},
        ... })
        >>> schema.history.max_length
        50
    """

    name: str
    items: Items | None = None
    impressions: Impressions
    events: Events | None = None
    searches: Searches | None = None
    users: Users | None = None
    time_unit: Literal["s", "ms", "us"] = "s"
    history: History = History()
    requests: Requests = Requests()
    vocabulary: VocabularyRule = VocabularyRule()
    media: Media = Media()
    split: Split

    _folder: Path = PrivateAttr(default=Path("."))

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from: the YAML file's."""
        return self._folder

    @classmethod
    def from_yaml(cls, path: str | Path) -> "Schema":
        """Reads a schema file.

        Raises:
            TfmmError: If the file is absent, is no YAML or breaks the schema; the
                message names every wrong key, what was expected and received.
        """
        path = Path(path)
        schema = validated(cls, read_yaml(path), path)
        schema._folder = path.absolute().parent
        return schema

    def to_yaml(self, path: str | Path) -> None:
        """Writes the schema as a YAML file, without what is at its default."""
        content = self.model_dump(mode="json", exclude_defaults=True)
        content["split"]["rule"] = self.split.rule
        Path(path).write_text(yaml.safe_dump(content, sort_keys=False), "utf-8")

    @pydantic.model_validator(mode="after")
    def _history_label_is_a_label(self) -> "Schema":
        label = self.history.label
        if label is not None and label not in self.impressions.labels:
            raise ValueError(
                f"history.label is {label!r}, but impressions.labels are "
                f"{self.impressions.labels}"
            )
        return self


def microseconds(moment: datetime.datetime | int) -> int:
    """A schema's moment (a date in UTC, or seconds since 1970) in microseconds.

    Example:
        >>> microseconds(datetime.datetime(1970, 1, 1, 0, 0, 2))
        2000000
    """
    if isinstance(moment, int):
        return moment * 1_000_000
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    since = moment - datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
    return since // datetime.timedelta(microseconds=1)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, or a `TfmmError` that says what hinders."""
    if not path.is_file():
        raise TfmmError(
            f"There is no file `{path}`. Create it, or correct the path; "
            "`tfmm init` writes a schema from your tables."
        )
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise TfmmError(
            f"`{path}` is not valid YAML. Received: {error}. Correct that line."
        ) from error


def validated(model: type[_Model], content: Any, path: Path) -> _Model:
    """`content` as a `model`, or a `TfmmError` that names every wrong key."""
    try:
        return model.model_validate(content)
    except pydantic.ValidationError as error:
        lines = [
            f"  {'.'.join(map(str, e['loc'])) or '(whole file)'}: {e['msg']}. "
            f"Received: {_short(e['input'])}"
            for e in error.errors()
        ]
        raise TfmmError(
            f"`{path}` does not fit:\n" + "\n".join(lines) + "\nCorrect these keys."
        ) from error


def _short(value: Any, limit: int = 80) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _features(role: str, features: dict[str, Kind]) -> dict[str, tuple[str, str, bool]]:
    types = {"categorical": "text", "numeric": "number"}
    return {
        f"{role}:{name}": (name, types[kind], False) for name, kind in features.items()
    }
