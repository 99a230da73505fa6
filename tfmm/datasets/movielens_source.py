"""Reads the MovieLens source files; what is missing or odd is named."""

import dataclasses
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv

from tfmm.errors import TfmmError

Columns = dict[str, np.ndarray]
_TEXT, _WHOLE, _NUMBER = pa.string(), pa.int64(), pa.float64()
_FILES: dict[str, tuple[str, dict[str, pa.DataType]]] = {
    "ratings": (
        "ml-latest-small/ratings.csv",
        {"userId": _WHOLE, "movieId": _WHOLE, "rating": _NUMBER, "timestamp": _WHOLE},
    ),
    "movies": (
        "ml-latest-small/movies.csv",
        {"movieId": _WHOLE, "title": _TEXT, "genres": _TEXT},
    ),
    "tags": (
        "ml-latest-small/tags.csv",
        {"userId": _WHOLE, "movieId": _WHOLE, "tag": _TEXT, "timestamp": _WHOLE},
    ),
    "plots": (
        "plots_ml1m_omdb.csv",
        {"movieId": _WHOLE, "plot": _TEXT, "director": _TEXT, "actors": _TEXT},
    ),
}
_POSTERS = "posters.zip"


@dataclasses.dataclass(frozen=True)
class MovieLens:
    """The source's tables as columns by name, each `[rows]`.

    Args:
        ratings: userId, movieId, rating, timestamp (seconds).
        movies: movieId, title, genres (joined by `|`).
        tags: userId, movieId, tag, timestamp (seconds).
        plots: movieId, plot, director, actors (joined by `, `).
        posters: Path of the zip file with the posters.
    """

    ratings: Columns
    movies: Columns
    tags: Columns
    plots: Columns
    posters: Path

    def of_users(self, users: np.ndarray) -> "MovieLens":
        """The same, of these users and the movies that they rated or tagged."""
        ratings = _rows(self.ratings, np.isin(self.ratings["userId"], users))
        tags = _rows(self.tags, np.isin(self.tags["userId"], users))
        touched = np.union1d(ratings["movieId"], tags["movieId"])
        movies = _rows(self.movies, np.isin(self.movies["movieId"], touched))
        plots = _rows(self.plots, np.isin(self.plots["movieId"], touched))
        return MovieLens(ratings, movies, tags, plots, self.posters)


def read_source(source: Path) -> MovieLens:
    """Reads all tables of the source folder.

    Raises:
        TfmmError: If a file or column is missing, or a value has the wrong type.
    """
    posters = source / _POSTERS
    if not posters.is_file():
        raise _missing(posters, source)
    tables = {
        name: _table(source / file, columns, source)
        for name, (file, columns) in _FILES.items()
    }
    return MovieLens(**tables, posters=posters)


def _table(path: Path, columns: dict[str, pa.DataType], source: Path) -> Columns:
    if not path.is_file():
        raise _missing(path, source)
    expected = f"columns {', '.join(f'{n} ({t})' for n, t in columns.items())}"
    try:
        table = pa.csv.read_csv(
            path,
            parse_options=pa.csv.ParseOptions(newlines_in_values=True),
            convert_options=pa.csv.ConvertOptions(column_types=columns),
        )
    except pa.ArrowInvalid as error:
        raise TfmmError(
            f"`{path}` cannot be read. Expected: a CSV file with {expected}. "
            f"Received: {error}. Copy the file from its source again."
        ) from error
    for name in columns:
        if name not in table.column_names:
            raise TfmmError(
                f"`{path}` has no column `{name}`. Expected: {expected}. "
                f"Received: {table.column_names}. Copy the file from its source again."
            )
        if table[name].null_count and columns[name] != _TEXT:
            raise TfmmError(
                f"`{path}`, column `{name}`: values are missing. Expected: {expected}. "
                f"Received: {table[name].null_count} empty values. "
                "Copy the file from its source again."
            )
    return {name: table[name].to_numpy(zero_copy_only=False) for name in columns}


def _rows(columns: Columns, kept: np.ndarray) -> Columns:
    return {name: values[kept] for name, values in columns.items()}


def _missing(path: Path, source: Path) -> TfmmError:
    files = [*(file for file, _ in _FILES.values()), _POSTERS]
    return TfmmError(
        f"There is no file `{path}`. Expected in the source folder: "
        f"{', '.join(files)}. Received: source={str(source)!r}. Correct the folder."
    )
