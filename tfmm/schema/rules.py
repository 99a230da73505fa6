"""Rules that turn tables into records: history, limits, split."""

import datetime
from typing import Annotated, Literal

import pydantic
from pydantic import Field

from tfmm.schema.part import Part


class History(Part):
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


class Requests(Part):
    """What a request is, and how large.

    Args:
        max_items: Most candidates of one request, N; more are cut and counted.
        window_seconds: Without a column of request ids: how long after a request's
            first impression those of the same user belong to it. 0: its moment alone.
        negative_rate: Share of the training candidates without any positive label that
            is kept; each then stands for `1 / negative_rate` of them by its weight.
            Validation and test keep all.
    """

    max_items: Annotated[int, Field(ge=1)] = 32
    window_seconds: Annotated[float, Field(ge=0)] = 0
    negative_rate: Annotated[float, Field(gt=0, le=1)] = 1


class VocabularyRule(Part):
    """Which ids get an embedding of their own.

    Args:
        min_count: Fewest training occurrences; rarer values share one embedding.
        hash_buckets: How many embeddings the rare and new values of a categorical
            feature share instead, by hash. Users and items share one in any case.
    """

    min_count: Annotated[int, Field(ge=1)] = 2
    hash_buckets: Annotated[int, Field(ge=0, le=10_000_000)] = 0


class Media(Part):
    """How pictures are stored in item and pair records: as JPEG.

    Pictures may come as JPEG, PNG, WebP, GIF, BMP or AVIF. They are not stored as WebP
    or AVIF: the towers decode pictures inside the served graph, and not every server
    in use reads those.

    Args:
        image_size: Longest side in pixels.
        quality: Of the JPEGs, 1 to 100.
        max_pixels: Pictures with more pixels are refused before decoding.
        max_bytes: Files larger than this are refused before reading.
        near_duplicates: Items whose pictures look alike up to this distance never
            count as wrong answers to each other's queries: most bits, of 256, in which
            their perceptual hashes differ. 0: only pictures of equal bytes are the
            same. Try 8: of 9,583 photos of fashion it joined 8 pairs beyond those of
            equal bytes, hardly to be told apart, and it finds three fifths of copies
            that were shrunk by a quarter and compressed again. From 12 on, articles of
            one cut in several colours join.
    """

    image_size: Annotated[int, Field(ge=16, le=2048)] = 224
    quality: Annotated[int, Field(ge=1, le=100)] = 90
    max_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    max_bytes: Annotated[int, Field(ge=1)] = 32_000_000
    near_duplicates: Annotated[int, Field(ge=0, le=16)] = 0


class Pairs(Part):
    """How searches and purchases become training pairs.

    Where `searches` have no `bought` column, they are joined with the purchases among
    the events. A purchase belongs to one search of its user, strictly before it and
    within the window: the last in which its item was clicked or shown or else, where
    that is not required, the last of all. A pair is of the moment of its purchase.

    Args:
        purchase_type: The type of the events that are purchases.
        window_seconds: The longest time from a search to its purchase, inclusive.
        max_per_search: Most purchases of one search; the earliest are kept.
        require_click: Whether a purchase needs a search in which its item was clicked
            or, by `results`, shown. Absent: where searches have `clicked`.
        max_per_query: Most training pairs of one query text, of whichever searches.
            Absent: no limit.
        drop_seen: Whether test pairs of a query text and an item that a training pair
            has as well are left out.
    """

    purchase_type: Annotated[str, Field(min_length=1)] = "order"
    window_seconds: Annotated[float, Field(gt=0)] = 86_400
    max_per_search: Annotated[int, Field(ge=1)] = 10
    require_click: bool | None = None
    max_per_query: Annotated[int, Field(ge=1)] | None = None
    drop_seen: bool = False


# What says nothing where the searches name what was bought.
JOIN_RULES = ("purchase_type", "window_seconds", "max_per_search", "require_click")


class GlobalTime(Part):
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


class PerUserLastFraction(Part):
    """The last moments of every user are the test; see `tfmm.records.split`.

    Searches have moments of their own, and only where their `user` is known: a user's
    validation and test searches are the test pairs. Without a `user` column the last
    `test_fraction` of all searches are, by one moment for everybody.

    Args:
        test_fraction: Share of each user's moments for the test.
        validation_fraction: Share before them for validation.
    """

    rule: Literal["per_user_last_fraction"]
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    validation_fraction: Annotated[float, Field(ge=0, lt=1)] = 0.0

    @pydantic.model_validator(mode="after")
    def _leaves_training(self) -> "PerUserLastFraction":
        if self.test_fraction + self.validation_fraction >= 1:
            raise ValueError("test_fraction + validation_fraction must be below 1")
        return self


Split = Annotated[GlobalTime | PerUserLastFraction, Field(discriminator="rule")]


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
