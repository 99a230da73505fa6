"""What the columns of a shop's tables mean: one YAML file, one role a column."""

from tfmm.schema.part import Part
from tfmm.schema.rules import GlobalTime, Pairs, PerUserLastFraction, microseconds
from tfmm.schema.schema import Schema
from tfmm.schema.tables import (
    Events,
    Impressions,
    Items,
    Kind,
    Searches,
    Table,
    Users,
)
from tfmm.schema.yaml_file import read_yaml, validated

__all__ = [
    "Events",
    "GlobalTime",
    "Impressions",
    "Items",
    "Kind",
    "Pairs",
    "Part",
    "PerUserLastFraction",
    "Schema",
    "Searches",
    "Table",
    "Users",
    "microseconds",
    "read_yaml",
    "validated",
]
