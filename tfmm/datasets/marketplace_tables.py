"""The marketplace's tables and the schema that gives their columns roles."""

import datetime
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from tfmm.datasets import marketplace_log as log
from tfmm.datasets.marketplace_config import MarketplaceConfig
from tfmm.datasets.marketplace_pictures import draw, shop_view
from tfmm.datasets.marketplace_shelf import Market
from tfmm.datasets.marketplace_words import BRANDS, SHAPES, titles
from tfmm.datasets.marketplace_world import AGES, REGIONS, Items, Shoppers, random
from tfmm.schema import Schema

_CHUNK = 1_000
_MEDIA = 6

SCHEMAS = {
    "items": pa.schema(
        {
            "item_id": pa.string(),
            "title": pa.string(),
            "image": pa.binary(),
            "category": pa.string(),
            "brand": pa.string(),
            "price": pa.float64(),
        }
    ),
    "users": pa.schema(
        {"user_id": pa.string(), "age": pa.string(), "region": pa.string()}
    ),
    "impressions": pa.schema(
        {
            "user_id": pa.string(),
            "item_id": pa.string(),
            "time": pa.int64(),
            "click": pa.int8(),
            "request_id": pa.int64(),
            "position": pa.int16(),
            "hour": pa.int8(),
            "discount": pa.float32(),
            "base_score": pa.float32(),
        }
    ),
    "truth": pa.schema({"probability": pa.float64()}),
    "events": pa.schema(
        {
            "user_id": pa.string(),
            "item_id": pa.string(),
            "time": pa.int64(),
            "type": pa.string(),
        }
    ),
    "searches": pa.schema(
        {
            "time": pa.int64(),
            "query_text": pa.string(),
            "query_image": pa.binary(),
            "bought_item": pa.string(),
            "clicked_items": pa.list_(pa.string()),
        }
    ),
}


def item_tables(config: MarketplaceConfig, items: Items) -> Iterator[pa.Table]:
    """The items table in chunks: pictures and titles of all listed items."""
    shapes = tuple(SHAPES)
    listed = np.flatnonzero(items.listed)
    for start in range(0, len(listed), _CHUNK):
        chosen = listed[start : start + _CHUNK]
        rng = random(config, _MEDIA, start)
        texts = titles(rng, items.attributes[chosen], items.brand[chosen])
        no_title = rng.random(len(chosen)) < config.no_title
        no_image = rng.random(len(chosen)) < config.no_image
        pictures = [
            draw(
                items.attributes[i].tolist(),
                int(items.accent[i]),
                items.tone[i],
                shop_view(rng),
                config.image_size,
            )
            for i in chosen
        ]
        columns = {
            "item_id": items.ids[chosen].tolist(),
            "title": [None if no else t for no, t in zip(no_title, texts, strict=True)],
            "image": [
                None if no else p for no, p in zip(no_image, pictures, strict=True)
            ],
            "category": [shapes[s] for s in items.attributes[chosen, 0]],
            "brand": [BRANDS[b] for b in items.brand[chosen]],
            "price": items.price[chosen],
        }
        yield pa.table(columns, SCHEMAS["items"])


def user_table(shoppers: Shoppers) -> pa.Table:
    """The users table."""
    columns = {
        "user_id": shoppers.ids.tolist(),
        "age": [AGES[a] for a in shoppers.age],
        "region": [REGIONS[r] for r in shoppers.region],
    }
    return pa.table(columns, SCHEMAS["users"])


def impression_table(market: Market, shown: log.Impressions) -> pa.Table:
    """A day's impressions."""
    columns = {
        "user_id": _taken(market.shoppers.ids, shown.user),
        "item_id": _taken(market.items.ids, shown.item),
        "time": shown.time,
        "click": shown.click,
        "request_id": shown.request,
        "position": shown.position,
        "hour": shown.hour,
        "discount": shown.discount,
        "base_score": shown.base_score,
    }
    return pa.table(columns)


def event_table(market: Market, events: log.Events) -> pa.Table:
    """A day's events."""
    columns = {
        "user_id": _taken(market.shoppers.ids, events.user),
        "item_id": _taken(market.items.ids, events.item),
        "time": events.time,
        "type": _taken(np.array(log.EVENT_TYPES), events.type),
    }
    return pa.table(columns)


def schema_of(config: MarketplaceConfig) -> Schema:
    """The roles of the columns, and a split by days."""
    tests = config.first_test_day
    content = {
        "name": "marketplace",
        "items": {
            "files": "items.parquet",
            "id": "item_id",
            "title": "title",
            "image": "image",
            "features": {
                "category": "categorical",
                "brand": "categorical",
                "price": "numeric",
            },
        },
        "impressions": {
            "files": "impressions.parquet",
            "user": "user_id",
            "item": "item_id",
            "time": "time",
            "labels": ["click"],
            "request": "request_id",
            "position": "position",
            "base_score": "base_score",
            "context": {"hour": "categorical"},
            "features": {"discount": "numeric"},
        },
        "events": {
            "files": "events.parquet",
            "user": "user_id",
            "item": "item_id",
            "time": "time",
            "type": "type",
        },
        "searches": {
            "files": "searches.parquet",
            "time": "time",
            "query_text": "query_text",
            "query_image": "query_image",
            "bought": "bought_item",
            "clicked": "clicked_items",
        },
        "users": {
            "files": "users.parquet",
            "id": "user_id",
            "features": {"age": "categorical", "region": "categorical"},
        },
        "history": {"max_length": 50, "label": "click"},
        "requests": {"max_items": config.max_candidates},
        "media": {"image_size": config.image_size},
        "split": {
            "rule": "global_time",
            "validation_from": _midnight(tests - config.validation_days),
            "test_from": _midnight(tests),
        },
    }
    return Schema.model_validate(content)


def _midnight(day: int) -> datetime.datetime:
    """As UTC without saying so; the schema reads times without a zone as UTC."""
    start = datetime.datetime.fromtimestamp(log.START, datetime.UTC)
    return start.replace(tzinfo=None) + datetime.timedelta(days=day)


def _taken(values: np.ndarray, numbers: np.ndarray) -> pa.Array:
    return pa.array(values.tolist(), pa.string()).take(pa.array(numbers))
