"""Refuses timelines whose numbers no model could use, by file and value."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import tensorflow as tf

from tfmm.records.spec import FIRST_CODE, RequestSpec
from tfmm.records.timeline import Column

_LENGTHS = {
    "event": ("event_item", "events"),
    "request": ("request_time", "requests"),
}


def check_record(
    record: Mapping[str, Any],
    spec: RequestSpec,
    columns: Sequence[Column],
    files: tf.Tensor,
) -> None:
    """Refuses parsed timelines with ids, cuts, counts or numbers out of range.

    A catalog row beyond the index would be another item's vector on a GPU, and an
    error from deep within the model on a CPU; a NaN would be every weight's after one
    step.

    Args:
        record: Parsed timelines, `RaggedTensor` by column, or `[W]` once a user.
        spec: The request's sizes.
        columns: What was parsed.
        files: string `[W]`, where each timeline is from.

    Raises:
        tf.errors.InvalidArgumentError: When the data set is iterated.
    """
    check = _Checks(record, files)
    check.lengths(columns)
    for name in ("event_item", "item"):
        check.between(name, 0, spec.rows - 1, "a catalog row of the item index")
    known = len(spec.event_types) + FIRST_CODE - 1
    check.between("event_type", 0, known, "a code of the event types")
    events = tf.gather(
        tf.cast(record["event_item"].row_lengths(), tf.int64),
        record["request_time"].value_rowids(),
    )
    start, cut = record["request_start"], record["request_cut"]
    check.between("request_cut", 0, events, "within the events")
    check.between("request_start", 0, cut.values, "no later than the cut")
    length = cut.with_values(cut.values - start.values)
    check.values("history length", length, 0, spec.max_history, "max_history")
    check.between("request_items", 1, spec.max_items, "max_items")
    for column in columns:
        if column.type == "float32" and column.name != "base_score":
            check.finite(column)
    check.refuse()


@dataclass(frozen=True)
class _Check:
    """One condition of all values of a column.

    Args:
        fine: bool `[n]`.
        values: What is shown of the first that is not.
        owners: int `[n]`, the timelines they are from.
        text: What was expected.
    """

    fine: tf.Tensor
    values: tf.Tensor
    owners: tf.Tensor
    text: str

    def enforce(self, files: tf.Tensor) -> None:
        """Stops with a message, unless all is fine."""
        place = tf.argmin(tf.cast(self.fine, tf.int32))
        first = slice(place, place + 1)  # There need not be any.
        message = tf.strings.join(
            [
                "A timeline in `",
                tf.strings.reduce_join(tf.gather(files, self.owners[first])),
                f"` cannot be used. Expected: {self.text}. Received: ",
                tf.strings.reduce_join(tf.as_string(self.values[first])),
                ". Run the stage that wrote it again.",
            ]
        )
        tf.debugging.Assert(tf.reduce_all(self.fine), [message])


class _Checks:
    """Conditions, looked at one by one only if not all of them hold."""

    def __init__(self, record: Mapping[str, Any], files: tf.Tensor) -> None:
        self._record, self._files = record, files
        self._checks: list[_Check] = []

    def lengths(self, columns: Sequence[Column]) -> None:
        """Every column as long as what it belongs to."""
        items = self._record["request_items"]
        shown = tf.cast(tf.reduce_sum(items, axis=1), tf.int32)
        for column in columns:
            if column.per == "user":
                continue
            own = self._record[column.name].row_lengths()
            of, what = _LENGTHS.get(column.per, (None, "shown items"))
            wanted = shown if of is None else self._record[of].row_lengths()
            text = f"as many values of `{column.name}` as there are {what}"
            self._add(own == wanted, own, tf.range(tf.size(own)), text)

    def between(self, name: str, low: int, high: Any, what: str) -> None:
        """A column's values within bounds, both included."""
        self.values(f"`{name}`", self._record[name], low, high, what)

    def values(
        self, name: str, ragged: tf.RaggedTensor, low: int, high: Any, what: str
    ) -> None:
        """Values within bounds, both included."""
        values, bound = ragged.values, ""
        if isinstance(high, int):
            bound = f" ({low} to {high})"
        within = (values >= low) & (values <= tf.cast(high, values.dtype))
        owners = ragged.value_rowids()
        self._add(within, values, owners, f"{name} to be {what}{bound}")

    def finite(self, column: Column) -> None:
        """Numbers that are numbers."""
        found, text = self._record[column.name], f"finite numbers in `{column.name}`"
        if column.per == "user":
            owners = tf.range(tf.size(found))
        else:
            found, owners = found.values, found.value_rowids()
        self._add(tf.math.is_finite(found), found, owners, text)

    def refuse(self) -> None:
        """Stops at the first condition that does not hold."""

        def fail() -> tf.Tensor:
            for check in self._checks:
                check.enforce(self._files)
            return tf.constant(False)

        fine = tf.stack([tf.reduce_all(check.fine) for check in self._checks])
        tf.cond(tf.reduce_all(fine), lambda: tf.constant(True), fail)

    def _add(self, *parts: Any) -> None:
        self._checks.append(_Check(*parts))
