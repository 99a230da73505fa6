"""What a sample says about one column."""

import dataclasses
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from tfmm.column_values import convert, missing_as_null
from tfmm.onboarding.text_types import MOSTLY, are_dates, share

_PICTURE_STARTS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"BM")
_PICTURE_NAME = r"(?i)(\.(jpe?g|png|webp|gif|bmp)(\?.*)?$)|^https?://.*(image|img|pic)"
_DATES_TRIED = 200
# Numbers of times between 1989 and 2128.
_SECONDS = (6e8, 5e9)
_UNITS = {"s": 1.0, "ms": 1e3, "us": 1e6}


@dataclasses.dataclass(frozen=True)
class Column:
    """One column of a sample.

    Args:
        name: The column's name.
        values: The sampled values that are not null.
        nulls: Sampled rows without a value.
    """

    name: str
    values: pa.Array
    nulls: int

    @cached_property
    def kind(self) -> str:
        """`integer`, `number`, `text`, `time`, `bool`, `bytes`, `list` or `other`."""
        for kind, fits in _KINDS.items():
            if any(fit(self.values.type) for fit in fits):
                return kind
        return "other"

    @cached_property
    def distinct(self) -> int:
        """Distinct sampled values; 0 for lists and bytes."""
        if self.kind in ("bytes", "list", "other"):
            return 0
        return pc.count_distinct(self.values).as_py()

    @property
    def is_id(self) -> bool:
        """Whether the values could be ids: text or whole numbers."""
        return self.kind in ("integer", "text") and len(self.values) > 0

    @property
    def is_unique(self) -> bool:
        """Whether every row has a value of its own."""
        return self.is_id and self.distinct == len(self.values) and not self.nulls

    @cached_property
    def is_binary(self) -> bool:
        """Whether nearly all values are 0 and 1, as the jobs read labels."""
        if self.kind == "bool":
            return True
        if self.kind not in ("integer", "number", "text"):
            return False
        known = missing_as_null(self.values, "label").drop_null()
        return share(convert(known, "label", "s").is_valid()) >= MOSTLY

    @cached_property
    def time_unit(self) -> str | None:
        """`iso` for dates, `s`, `ms` or `us` by magnitude, `None` for no time."""
        if not len(self.values):
            return None
        if self.kind == "time":
            return "iso"
        if self.kind == "text":
            return "iso" if are_dates(self.values[:_DATES_TRIED]) else None
        if self.kind not in ("integer", "number"):
            return None
        low, high = _SECONDS
        middle = pc.quantile(self.values, q=[0.1, 0.9]).to_pylist()
        for unit, factor in _UNITS.items():
            if all(low * factor <= value < high * factor for value in middle):
                return unit
        return None

    @cached_property
    def has_pictures(self) -> bool:
        """Whether the values are pictures, or names of picture files."""
        if self.kind == "bytes":
            head = [bytes(v[:4]) for v in self.values.to_pylist()]
            good = sum(h.startswith(_PICTURE_STARTS) for h in head)
            return len(head) > 0 and good * 2 > len(head)
        if self.kind != "text" or not len(self.values):
            return False
        named = pc.match_substring_regex(self.values, _PICTURE_NAME)
        return pc.mean(pc.cast(named, pa.float64())).as_py() > 0.5

    def share_in(self, other: "Column") -> float:
        """Share of the distinct values that the other column has too."""
        if not (self.is_id and other.is_id):
            return 0.0
        mine = pc.unique(pc.cast(self.values, pa.string()))
        known = pc.is_in(mine, value_set=pc.cast(other.values, pa.string()))
        return pc.mean(pc.cast(known, pa.float64())).as_py() or 0.0


def is_bytes(kind: pa.DataType) -> bool:
    """Whether a type is that of raw bytes."""
    return (
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_binary_view(kind)
    )


def _is_list(kind: pa.DataType) -> bool:
    return pa.types.is_list(kind) or pa.types.is_large_list(kind)


_KINDS = {
    "bool": (pa.types.is_boolean,),
    "integer": (pa.types.is_integer,),
    "number": (pa.types.is_floating, pa.types.is_decimal),
    "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
    "time": (pa.types.is_timestamp, pa.types.is_date),
    "bytes": (is_bytes,),
    "list": (_is_list,),
}
