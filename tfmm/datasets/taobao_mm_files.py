"""The public files of Taobao-MM: which there are, and their rows, streamed."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from tfmm.errors import TfmmError

PARTS = ("train", "test")
LABEL, USER, ITEM, VECTOR = "label_0", "129_1", "205", "205_c"
USER_FEATURES = ("130_1", "130_2", "130_3", "130_4", "130_5")
ITEM_FEATURES = ("206", "213", "214")
HISTORY, CATEGORIES = "150_2_180", "151_2_180"
DIMENSION = 128
Progress = Callable[[str, int, int], None]

_LISTS = {
    LABEL: pa.int8(),
    HISTORY: pa.int64(),
    CATEGORIES: pa.int64(),
    VECTOR: pa.int8(),
}
_BUFFER = 1 << 20
_VECTORS = "scl_embedding_int8_p90.parquet"
_ITEMS = "item_features.parquet"


@dataclass(frozen=True)
class Files:
    """Where the tables of one copy of the data set lie.

    Args:
        samples: Per part the files with a row for every shown item: `label_0`, user
            `129_1`, item `205`; with `users` absent they hold all 13 joined columns.
        users: Per part the files of users' features and histories.
        items: The files of items' features.
        vectors: The file of SCL vectors.
    """

    samples: Mapping[str, tuple[Path, ...]]
    users: Mapping[str, tuple[Path, ...]] | None
    items: tuple[Path, ...]
    vectors: Path

    @property
    def layout(self) -> str:
        """`"raw"` or `"joined"`."""
        return "raw" if self.users else "joined"


def find_files(folder: str | Path) -> Files:
    """The files below a folder, in whichever layout is there.

    The raw tables are taken where they are complete: they hold each history once, the
    joined shards about eleven times.

    Args:
        folder: A copy of the data set: with `raw/`, or with `train/` and `test/` and
            the vectors in `raw/`; or a folder of the raw tables themselves.

    Raises:
        TfmmError: If neither layout is complete; it names what is missing.
    """
    folder = Path(folder)
    raw = folder / "raw" if (folder / "raw").is_dir() else folder
    tables = {
        what: {part: (raw / f"{part}_{what}.parquet",) for part in PARTS}
        for what in ("samples", "user_features")
    }
    wanted = [files[0] for found in tables.values() for files in found.values()]
    missing = [path for path in [*wanted, raw / _ITEMS] if not path.is_file()]
    shards = {part: tuple(sorted((folder / part).glob("*.parquet"))) for part in PARTS}
    if missing and not all(shards.values()):
        raise TfmmError(
            f"`{folder}` holds no complete copy of Taobao-MM. Expected: the raw "
            "tables, or shards `train/*.parquet` and `test/*.parquet`. Received: "
            f"{len(shards['train'])} and {len(shards['test'])} shards, and no "
            f"{', '.join(path.name for path in missing)}. Copy the data set "
            "TaoBao-MM/Taobao-MM whole, or its folder raw/."
        )
    if not (raw / _VECTORS).is_file():
        raise TfmmError(
            f"There is no file `{raw / _VECTORS}` of SCL vectors. Copy it from the "
            "data set's folder raw/."
        )
    if missing:
        return Files(shards, None, (), raw / _VECTORS)
    samples, users = tables["samples"], tables["user_features"]
    return Files(samples, users, (raw / _ITEMS,), raw / _VECTORS)


def read(
    paths: Sequence[Path],
    columns: Sequence[str],
    rows: int,
    progress: Progress | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of some files, a few at a time; no row group is ever held whole.

    Args:
        paths: Parquet files, read in this order.
        columns: The columns to read.
        rows: Most rows of a batch.
        progress: Called with the file, rows read and rows in all.

    Raises:
        TfmmError: If a file is damaged, or lacks a column or has it of another type.
    """
    files = [_open(path, columns) for path in paths]
    total = sum(found for _, found in files)
    done = 0
    for path, _ in files:
        try:
            with pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False) as file:
                for batch in file.iter_batches(rows, columns=list(columns)):
                    done += batch.num_rows
                    yield batch
                    if progress is not None:
                        progress(f"Reading {path.name}", done, total)
        except (pa.ArrowInvalid, OSError) as error:
            raise _damaged(path, error) from error


def _open(path: Path, columns: Sequence[str]) -> tuple[Path, int]:
    """Checks a file's columns; the path and how many rows it has."""
    try:
        with pq.ParquetFile(path) as file:
            schema, rows = file.schema_arrow, file.metadata.num_rows
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(path, error) from error
    expected = {name: _LISTS.get(name) for name in columns}
    for name, element in expected.items():
        if name not in schema.names:
            raise TfmmError(
                f"`{path}` has no column {name!r}. Expected: {', '.join(columns)}. "
                f"Received: {', '.join(schema.names)}. Copy the file again."
            )
        kind = schema.field(name).type
        whole = element is None
        listed = pa.types.is_list(kind) or pa.types.is_large_list(kind)
        right = kind == pa.int64() if whole else listed and kind.value_type == element
        if not right:
            wanted = "int64" if whole else f"list<{element}>"
            raise TfmmError(
                f"Column {name!r} of `{path}` is of another type. Expected: {wanted}. "
                f"Received: {kind}. Copy the file again."
            )
    return path, rows


def _damaged(path: Path, error: Exception) -> TfmmError:
    return TfmmError(
        f"`{path}` cannot be read as Parquet. Received: {error}. Copy the file again."
    )
