"""Refuses timelines whose numbers no model could use, by file and value."""

from collections.abc import Mapping, Sequence
from typing import Any

import tensorflow as tf

from tfmm.records.spec import FIRST_CODE, RequestSpec
from tfmm.records.timeline import Column

_LENGTHS = {"event": "event_item", "request": "request_time"}


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
    check = _Check(record, files)
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
    check.between("request_cut", 0, events, "within the user's events")
    check.between("request_start", 0, cut.values, "no later than the cut")
    length = cut.with_values(cut.values - start.values)
    check.values("history length", length, 0, spec.max_history, "max_history")
    check.between("request_items", 1, spec.max_items, "max_items")
    for column in columns:
        if column.type == "float32":
            check.finite(column)


class _Check:
    def __init__(self, record: Mapping[str, Any], files: tf.Tensor) -> None:
        self._record, self._files = record, files

    def lengths(self, columns: Sequence[Column]) -> None:
        """Every column as long as what it belongs to."""
        items = self._record["request_items"]
        shown = tf.cast(tf.reduce_sum(items, axis=1), tf.int32)
        for column in columns:
            if column.per == "user":
                continue
            own = self._record[column.name].row_lengths()
            of = _LENGTHS.get(column.per)
            wanted = shown if of is None else self._record[of].row_lengths()
            text = f"Expected: as many values of `{column.name}` as there are "
            text += {"item": "shown items", "event": "events"}.get(
                column.per, "requests"
            )
            self._refuse(own == wanted, tf.range(tf.size(own)), own, text)

    def between(self, name: str, low: int, high: Any, what: str) -> None:
        """A column's values within bounds, both included."""
        self.values(f"`{name}`", self._record[name], low, high, what)

    def values(
        self, name: str, ragged: tf.RaggedTensor, low: int, high: Any, what: str
    ) -> None:
        """Values within bounds, both included."""
        values = ragged.values
        high = tf.cast(high, values.dtype)
        within = (values >= low) & (values <= high)
        bound = (
            "" if high.shape.rank else f" ({low} to {int(tf.get_static_value(high))})"
        )
        text = f"Expected: {name} to be {what}{bound}"
        self._refuse(within, None, values, text, ragged)

    def finite(self, column: Column) -> None:
        """Numbers that are numbers."""
        found = self._record[column.name]
        text = f"Expected: finite numbers in `{column.name}`"
        if column.per == "user":
            self._refuse(
                tf.math.is_finite(found), tf.range(tf.size(found)), found, text
            )
        else:
            self._refuse(
                tf.math.is_finite(found.values), None, found.values, text, found
            )

    def _refuse(
        self,
        fine: tf.Tensor,
        owner: tf.Tensor | None,
        values: tf.Tensor,
        text: str,
        ragged: tf.RaggedTensor | None = None,
    ) -> None:
        def fail() -> tf.Tensor:
            place = tf.argmin(tf.cast(fine, tf.int32))
            owners = ragged.value_rowids() if ragged is not None else owner
            file = tf.gather(self._files, tf.gather(owners, place))
            message = tf.strings.join(
                [
                    "A timeline in `",
                    file,
                    f"` cannot be used. {text}. Received: ",
                    tf.as_string(tf.gather(values, place)),
                    ". Run the stage that wrote it again.",
                ]
            )
            tf.debugging.Assert(False, [message])
            return tf.constant(False)

        tf.cond(tf.reduce_all(fine), lambda: tf.constant(True), fail)
