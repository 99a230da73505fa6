"""Small text files of a published data set, with errors that name them."""

import csv
from collections.abc import Sequence
from pathlib import Path

from tfmm.errors import TfmmError


def read_text(path: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        TfmmError: If the file is missing or not UTF-8.
    """
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TfmmError(
            f"A file of the data set cannot be read. Received: `{path}`: {error}. "
            "Copy the data set's folder whole."
        ) from error


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a small CSV file.

    Args:
        path: The file.
        columns: The columns that it must have.

    Raises:
        TfmmError: If the file is missing, empty, or lacks a column.
    """
    reader = csv.DictReader(read_text(path).splitlines(keepends=True))
    rows = [{k: v or "" for k, v in row.items() if k} for row in reader]
    if not rows or not set(columns) <= set(rows[0]):
        raise TfmmError(
            f"`{path}` must be a CSV file with the columns {', '.join(columns)}. "
            f"Received: {len(rows)} rows of {reader.fieldnames}. "
            "Copy the file from its source again."
        )
    return rows
