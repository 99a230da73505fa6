"""A DoFn that knows the item index."""

from pathlib import Path

import apache_beam as beam

from beam_jobs import files
from tfmm.records.index import ItemIndex


class WithIndex(beam.DoFn):
    """A DoFn that opens the item index once per worker.

    Args:
        index: Folder of the item index.
    """

    def __init__(self, index: str | Path) -> None:
        self._index_folder = str(index)

    def setup(self) -> None:
        """Opens the index."""
        self.index = ItemIndex.open(files.fetched(self._index_folder))
