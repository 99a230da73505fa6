"""The schema: one YAML file, one role a column."""

from pathlib import Path
from typing import Literal

import pydantic
import yaml
from pydantic import PrivateAttr

from tfmm.schema.part import Part
from tfmm.schema.rules import (
    JOIN_RULES,
    History,
    Media,
    Pairs,
    Requests,
    Split,
    VocabularyRule,
)
from tfmm.schema.tables import Events, Impressions, Items, Searches, Table, Users
from tfmm.schema.yaml_file import read_yaml, validated


class Schema(Part):
    """The roles of all columns, and the rules that turn tables into records.

    Args:
        name: Name of the data set.
        items: The catalogue. Absent when only the log is known.
        impressions: The log.
        events: Further behaviours.
        searches: Searches, with what was bought or to be joined with purchases.
        users: The users.
        time_unit: Unit of integer time columns: `s`, `ms` or `us`.
        history: Rule of histories.
        requests: Limits of requests.
        vocabulary: Rule of vocabularies.
        media: Rule of pictures.
        pairs: Rule of search pairs.
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
    pairs: Pairs = Pairs()
    split: Split

    _folder: Path = PrivateAttr(default=Path("."))

    @property
    def folder(self) -> Path:
        """The folder that relative paths start from: the YAML file's."""
        return self._folder

    @property
    def joins(self) -> bool:
        """Whether searches name no bought item, and are joined with purchases."""
        return self.searches is not None and not self.searches.bought

    @property
    def groups_queries(self) -> bool:
        """Whether pairs are compared with all others of their query text."""
        return self.joins or self.pairs.drop_seen or bool(self.pairs.max_per_query)

    def tables(self) -> dict[str, Table]:
        """The tables that the schema has, by name."""
        names = ("items", "impressions", "events", "searches", "users")
        found = {name: getattr(self, name) for name in names}
        return {name: table for name, table in found.items() if table is not None}

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

    @pydantic.model_validator(mode="after")
    def _purchases_are_known(self) -> "Schema":
        searches, rule = self.searches, self.pairs
        if searches is None:
            return self
        unread = sorted(rule.model_fields_set.intersection(JOIN_RULES))
        if searches.bought and unread:
            raise ValueError(
                f"pairs.{unread[0]} joins searches with purchases, but "
                "searches.bought names the purchases already"
            )
        if not searches.bought and not (self.events and self.events.type):
            raise ValueError(
                "searches have no `bought`, so that purchases are needed: `events` "
                f"with a `type`, of which {rule.purchase_type!r} is a purchase"
            )
        if rule.require_click and not (searches.clicked or searches.results):
            raise ValueError(
                "pairs.require_click needs the searches' `clicked` or `results`"
            )
        return self
