"""Roles of the columns of every table."""

from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tfmm.schema.part import Part

Kind = Literal["categorical", "numeric"]
Files = str | list[str]
Columns = str | list[str]


class Table(Part):
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
        image_root: Folder or URI that relative paths start from; they must not lead
            out of it.
        more_titles: Column or columns of the title in other languages, each a text or
            a list of texts.
        more_images: Column or columns of further pictures, each one picture or a list
            of them; paths may be joined by `|`. Where the item's own title or picture
            is missing or damaged, the first usable further one takes its place.
        equivalent: Column of which equal values mean the same product to a shopper:
            such items never count as wrong answers to each other's queries.
        features: Further columns as features.
    """

    id: str
    title: str | None = None
    image: str | None = None
    image_root: str | None = None
    more_titles: Columns = []
    more_images: Columns = []
    equivalent: str | None = None
    features: dict[str, Kind] = {}

    def columns(self) -> dict[str, tuple[str, str, bool]]:
        found = {"id": (self.id, "id", True)}
        if self.title:
            found["title"] = (self.title, "text", False)
        if self.image:
            found["image"] = (self.image, "media", False)
        found |= _numbered("more_titles", self.more_titles, "texts")
        found |= _numbered("more_images", self.more_images, "medias")
        if self.equivalent:
            found["equivalent"] = (self.equivalent, "text", False)
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
        position: Column of the place in the list, 0 the first.
        base_score: Column of the production model's logged score; where it is empty,
            an offset starts from logit 0.
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
    """What users searched for: one row a bought item, or one row a search.

    With `bought`, every row is a search that ended in that purchase. Without, `user`
    is needed, and purchases are events; the schema's `pairs` say how the two are
    joined.

    Args:
        time: Column of the moment.
        bought: Column of the bought item's id.
        query_text: Column of the typed words.
        query_image: Column of the query picture: bytes, or paths or URIs.
        image_root: Folder or URI that relative paths start from; they must not lead
            out of it.
        clicked: Column of the items clicked: a list, or text joined by `|`. Those not
            bought are hard negatives.
        results: Column of the items shown, of the same form; with them, a purchase
            finds the search that showed its item. Only without `bought`.
        search: Column of the search's id, where one search may end in several
            purchases: what was bought in the same search is never a wrong answer.
        part: Column of a split that is given: `train` or `test`. A training search
            that is the test's by the split rule stops the job. Only with `bought`.
        user: Column of the user id. It joins searches with purchases, and the split
            rule `per_user_last_fraction` reads it; no output has it.
    """

    time: str
    bought: str | None = None
    query_text: str | None = None
    query_image: str | None = None
    image_root: str | None = None
    clicked: str | None = None
    results: str | None = None
    search: str | None = None
    part: str | None = None
    user: str | None = None

    def columns(self) -> dict[str, tuple[str, str, bool]]:
        roles = {
            "bought": ("id", True),
            "query_text": ("text", False),
            "query_image": ("media", False),
            "clicked": ("ids", False),
            "results": ("ids", False),
            "search": ("text", False),
            "part": ("text", True),
            "user": ("id", True),
        }
        return {"time": (self.time, "time", True)} | {
            role: (column, *kind)
            for role, kind in roles.items()
            if (column := getattr(self, role))
        }

    @pydantic.model_validator(mode="after")
    def _has_a_query(self) -> "Searches":
        if not (self.query_text or self.query_image or self.clicked):
            raise ValueError("needs `query_text`, `query_image` or `clicked`")
        return self

    @pydantic.model_validator(mode="after")
    def _finds_purchases(self) -> "Searches":
        if self.bought and self.results:
            raise ValueError("`results` find purchases, which `bought` names already")
        if not self.bought and not self.user:
            raise ValueError(
                "needs `bought`, or `user` to find the user's purchases by"
            )
        if not self.bought and self.part:
            raise ValueError(
                "`part` needs `bought`: pairs that are joined are split by the rule"
            )
        return self


class Users(Table):
    """Who the users are: one row a user."""

    id: str
    features: dict[str, Kind] = {}

    def columns(self) -> dict[str, tuple[str, str, bool]]:
        return {"id": (self.id, "id", True)} | _features("features", self.features)


def _numbered(
    role: str, columns: Columns, kind: str
) -> dict[str, tuple[str, str, bool]]:
    """One role for each of several columns."""
    names = [columns] if isinstance(columns, str) else columns
    return {f"{role}_{i}": (name, kind, False) for i, name in enumerate(names)}


def _features(role: str, features: dict[str, Kind]) -> dict[str, tuple[str, str, bool]]:
    types = {"categorical": "text", "numeric": "number"}
    return {
        f"{role}:{name}": (name, types[kind], False) for name, kind in features.items()
    }
