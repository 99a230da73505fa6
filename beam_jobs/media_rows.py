"""What the jobs that read pictures share: known rows, pictures, dead letters."""

from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from beam_jobs.counters import count
from beam_jobs.kernels.fetch import Limits, fetch
from beam_jobs.kernels.pictures import Picture, picture
from beam_jobs.read_table import files_of, letter_of
from beam_jobs.with_index import WithIndex
from beam_jobs.work import Work
from tfmm.records.index import UNKNOWN_ROW
from tfmm.schema import Schema
from tfmm.tables import DeadLetter


class WithMedia(WithIndex):
    """A DoFn over the chunks of a table with pictures.

    Args:
        schema: The schema.
        name: `items` or `searches`.
        index: Folder of the item index.
        work: Where dead letters go.
    """

    def __init__(
        self, schema: Schema, name: str, index: str | Path, work: Work
    ) -> None:
        super().__init__(index)
        self._work, self._letters = work, list[DeadLetter]()
        table = getattr(schema, name)
        self._table, self._name, self._media = table, name, schema.media
        root = table.image_root or "."
        self._root = root if "://" in root else str(schema.folder / root)
        self._limits = Limits(schema.media.max_bytes)
        self._files = files_of(schema, name)

    def known(self, table: pa.Table, role: str) -> pa.Table:
        """The rows whose item the index knows; the others become dead letters."""
        known = pa.array(self.index.rows_of(table[role]) != UNKNOWN_ROW)
        unknown = table["source"].filter(pc.invert(known)).to_pylist()
        count(f"{self._name}:dropped:not_in_index", len(unknown))
        column = self._table.columns()[role][0]
        for source in unknown:
            self.leave_out(source, column, "not_in_index")
        return table.filter(known)

    def picture(self, value: bytes | str | None) -> Picture:
        """The picture behind a value, ready for a record, or why there is none."""
        if not value:
            return Picture(reason="absent")
        data, reason = fetch(value, self._root, self._limits)
        if reason:
            return Picture(reason=reason)
        rule = self._media
        return picture(data, rule.image_size, rule.max_pixels, rule.quality)

    def leave_out(self, source: int, column: str, reason: str) -> None:
        """Makes a dead letter; `write_letters` writes it."""
        self._letters.append(letter_of(source, self._files, column, reason))

    def write_letters(self, first: int) -> None:
        """Writes the dead letters of the chunk that begins with a source."""
        letters, self._letters = self._letters, []
        self._work.letters(f"{self._name}-media-{first:016d}", letters, self._name)
