"""What the jobs that read pictures share: known rows, pictures, dead letters."""

from collections.abc import Iterator
from pathlib import Path

import apache_beam as beam
import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs import common
from beam_jobs.kernels import media
from tfmm.records.index import UNKNOWN_ROW
from tfmm.schema import Schema


class WithMedia(common.WithIndex):
    """A DoFn over the chunks of a table with pictures.

    Args:
        schema: The schema.
        name: `items` or `searches`.
        index: Folder of the item index.
    """

    def __init__(self, schema: Schema, name: str, index: str | Path) -> None:
        super().__init__(index)
        table = getattr(schema, name)
        self._table, self._name, self._media = table, name, schema.media
        self._root = schema.folder / (table.image_root or ".")
        self._files = common.files_of(schema, name)

    def known(
        self, table: pa.Table, role: str
    ) -> tuple[pa.Table, Iterator[beam.pvalue.TaggedOutput]]:
        """The rows whose item the index knows, and dead letters of the others."""
        known = pa.array(self.index.rows_of(table[role]) != UNKNOWN_ROW)
        unknown = table["source"].filter(pc.invert(known)).to_pylist()
        common.count(f"{self._name}:dropped:not_in_index", len(unknown))
        column = self._table.columns()[role][0]
        letters = (self.letter(source, column, "not_in_index") for source in unknown)
        return table.filter(known), letters

    def picture(self, value: bytes | str | None) -> media.Picture:
        """The picture behind a value, ready for a record, or why there is none."""
        if not value:
            return media.Picture(reason="absent")
        data, reason = media.fetch(value, self._root, self._media.max_bytes)
        if reason:
            return media.Picture(reason=reason)
        return media.picture(data, self._media.image_size, self._media.max_pixels)

    def letter(self, source: int, column: str, reason: str) -> beam.pvalue.TaggedOutput:
        """A dead letter as an output of its own."""
        letter = common.letter_of(source, self._files, column, reason)
        return beam.pvalue.TaggedOutput(common.DEAD, letter)
