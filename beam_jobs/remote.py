"""What remote file systems have in common, and what only some of them have."""

from collections.abc import Iterable
from contextlib import suppress

from apache_beam.io.filesystem import BeamIOError
from apache_beam.io.filesystems import FileSystems


def has_folders(path: str) -> bool:
    """Whether a remote file system has folders, as hdfs:// does and stores do not."""
    return FileSystems.get_filesystem(path).has_dirs()


def make_folders(paths: Iterable[str]) -> None:
    """Makes the folders of files, where there are folders."""
    for folder in dict.fromkeys(path.rsplit("/", 1)[0] for path in paths):
        if has_folders(folder) and not FileSystems.exists(folder):
            with suppress(BeamIOError):  # Another worker was faster.
                FileSystems.mkdirs(folder)


def listed(pattern: str, folder: str | None = None) -> list[str]:
    """Paths of all that matches, relative to the folder; to its own when absent."""
    found = [each.path for each in FileSystems.match([pattern])[0].metadata_list]
    start = len(folder or pattern.rsplit("/", 1)[0]) + 1
    return [path[start:] for path in found]
