"""Takes the posters out of their zip file, and nothing else."""

import re
import zipfile
import zlib
from collections import Counter
from pathlib import Path

import numpy as np

from tfmm.errors import TfmmError

_NAME = re.compile(r"posters/([0-9]{1,9})\.jpg")
_MAX_BYTES = 4_000_000
_MAX_POSTERS = 200_000


def extract_posters(
    archive: Path, folder: Path, movies: np.ndarray
) -> tuple[dict[int, str], Counter[str]]:
    """Extracts `posters/<movieId>.jpg` of these movies.

    Only members of exactly this name are read, so none can lead out of the folder;
    larger ones than 4 MB are left out unread.

    Args:
        archive: The zip file.
        folder: Where `posters/` is written.
        movies: int64 `[M]`, ids of the movies.

    Returns:
        Movie id -> path relative to `folder`; and reason -> number left out.

    Raises:
        TfmmError: If the file is no zip file or has an absurd number of members.
    """
    wanted = set(movies.tolist())
    found: dict[int, str] = {}
    left_out: Counter[str] = Counter()
    (folder / "posters").mkdir()
    try:
        with zipfile.ZipFile(archive) as file:
            members = file.infolist()
            if len(members) > _MAX_POSTERS:
                raise TfmmError(
                    f"`{archive}` has too many members. Expected: at most "
                    f"{_MAX_POSTERS:,}. Received: {len(members):,}. Check the file."
                )
            for member in members:
                match = _NAME.fullmatch(member.filename)
                if match is None:
                    left_out["other_name"] += 1
                elif int(match[1]) not in wanted:
                    left_out["of_no_movie"] += 1
                elif member.file_size > _MAX_BYTES:
                    left_out["too_large"] += 1
                else:
                    path = f"posters/{int(match[1])}.jpg"
                    (folder / path).write_bytes(file.read(member))
                    found[int(match[1])] = path
    except (zipfile.BadZipFile, zlib.error) as error:
        raise TfmmError(
            f"`{archive}` cannot be read. Expected: a zip file with posters. "
            f"Received: {error}. Copy the file from its source again."
        ) from error
    return found, left_out
