"""The timeline record: one user's behaviours once, requests as cuts into them.

Features of a record, with T events, R requests and M shown items in all:

* `user` int64 `[1]`, the keyed hash; `user_<f>` bytes or float `[1]`
* `event_item`, `event_type`, `event_time` int64 `[T]`: catalog row, code, microseconds
* `request_time`, `request_start`, `request_cut`, `request_items` int64 `[R]`: moment,
  the history's span of events, number of shown items
* `context_<f>` bytes or float `[R]`
* `item` int64 `[M]`; `label_<name>`, `candidate_<f>`, `position`, `base_score`,
  `weight` `[M]`
"""

from dataclasses import dataclass

from tfmm.records.spec import RequestSpec

KIND = "timelines"
INTEGER, REAL, TEXT = "int64", "float32", "bytes"


@dataclass(frozen=True)
class Column:
    """One feature of a timeline record.

    Args:
        name: The feature's name.
        per: `"user"`, `"event"`, `"request"` or `"item"`.
        type: `"int64"`, `"float32"` or `"bytes"`.
    """

    name: str
    per: str
    type: str


def columns(spec: RequestSpec) -> tuple[Column, ...]:
    """All features of the timeline records that belong to a spec, in their order.

    Example:
        >>> spec = RequestSpec(9, 9, 9, (), ("click",), ("click",), 50, 8)
        >>> [c.name for c in columns(spec) if c.per == "item"]
        ['item', 'label_click']
    """
    features = [
        Column(
            feature.tensor,
            {"user": "user", "context": "request", "candidate": "item"}[feature.scope],
            TEXT if feature.kind == "categorical" else REAL,
        )
        for feature in spec.of_scope("user", "context", "candidate")
    ]
    optional = [
        Column(name, "item", kind)
        for name, kind, wanted in (
            ("position", INTEGER, spec.position),
            ("base_score", REAL, spec.base_score),
            ("weight", REAL, spec.weight),
        )
        if wanted
    ]
    return (
        Column("user", "user", INTEGER),
        *(Column(f"event_{x}", "event", INTEGER) for x in ("item", "type", "time")),
        *(
            Column(f"request_{x}", "request", INTEGER)
            for x in ("time", "start", "cut", "items")
        ),
        Column("item", "item", INTEGER),
        *(Column(f"label_{name}", "item", REAL) for name in spec.labels),
        *features,
        *optional,
    )
