"""Two remote file systems on a local folder, for tests; `SHELF` names the folder.

`shelf://` is an object store: no folders, flat listing by prefix, objects that appear
whole, renaming by copy and delete. `tree://` is like HDFS: folders, whose listing tells
no files from folders, and nothing is overwritten. Both note every change in
`SHELF.log`; `dying(n)` ends the process's powers at the n-th.
"""

import io
import os
import shutil
import uuid
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote

from apache_beam.io.filesystem import BeamIOError, FileMetadata, FileSystem

_left = [None]


class Killed(BaseException):
    pass


@contextmanager
def dying(changes):
    """Lets so many changes through, and none after them."""
    _left[0] = changes
    try:
        yield
    finally:
        _left[0] = None


def log():
    """(what, path) of every change so far."""
    path = Path(f"{_root()}.log")
    lines = path.read_text().splitlines() if path.exists() else []
    return [tuple(line.split(" ", 1)) for line in lines]


def content(folder, but=()):
    """Name below a folder -> bytes of every file."""
    kind = {"shelf": Shelf, "tree": Tree}[folder.split("://")[0]](None)
    found = kind.everything(f"{folder}/")
    return {
        name[len(folder) + 1 :]: kind.place(name).read_bytes()
        for name in found
        if name.rsplit("/", 1)[-1] not in but
    }


def _root():
    return Path(os.environ["SHELF"])


def _changed(what, path):
    if _left[0] is not None:
        if _left[0] == 0:
            raise Killed
        _left[0] -= 1
    with open(f"{_root()}.log", "a") as file:
        file.write(f"{what} {path}\n")


class _Upload(io.BytesIO):
    """An object that appears whole when it is closed."""

    def __init__(self, system, path):
        super().__init__()
        self._system, self._path = system, path

    def close(self):
        if not self.closed:
            _changed("write", self._path)
            self._system.put(self._path, self.getvalue())
            super().close()


class Shelf(FileSystem):
    @classmethod
    def scheme(cls):
        return "shelf"

    def place(self, path):
        return _root() / quote(path, safe="")

    def everything(self, prefix):
        found = [unquote(each.name) for each in _root().iterdir()]
        return sorted(path for path in found if path.startswith(prefix))

    def put(self, path, data):
        aside = _root().with_name(f"{_root().name}-{uuid.uuid4().hex}")
        aside.write_bytes(data)
        aside.replace(self.place(path))

    def has_dirs(self):
        return False

    def join(self, basepath, *paths):
        return "/".join([basepath.rstrip("/"), *paths])

    def split(self, path):
        return tuple(path.rsplit("/", 1))

    def mkdirs(self, path):
        raise AssertionError("a store has no folders")

    def _list(self, prefix):
        yield from map(self.metadata, self.everything(prefix))

    def create(self, path, mime_type="", compression_type="auto"):
        return _Upload(self, path)

    def open(self, path, mime_type="", compression_type="auto"):
        try:
            return open(self.place(path), "rb")
        except OSError as error:
            raise BeamIOError("Open failed", {path: error}) from error

    def copy(self, sources, targets):
        for source, target in zip(sources, targets, strict=True):
            with self.open(source) as file:
                data = file.read()
            _changed("copy", target)
            self.put(target, data)

    def rename(self, sources, targets):
        for source, target in zip(sources, targets, strict=True):
            self.copy([source], [target])
            self.delete([source])

    def exists(self, path):
        return self.place(path).is_file()

    def size(self, path):
        return self.metadata(path).size_in_bytes

    def last_updated(self, path):
        return self.metadata(path).last_updated_in_seconds

    def checksum(self, path):
        return str(self.metadata(path))

    def metadata(self, path):
        try:
            found = self.place(path).stat()
        except OSError as error:
            raise BeamIOError("No such object", {path: error}) from error
        return FileMetadata(path, found.st_size, found.st_mtime)

    def delete(self, paths):
        for path in paths:
            for each in self.everything(path) if path.endswith("/") else [path]:
                _changed("delete", each)
                self.place(each).unlink()


class Tree(Shelf):
    @classmethod
    def scheme(cls):
        return "tree"

    def place(self, path):
        return _root() / path.removeprefix("tree://").rstrip("/")

    def everything(self, prefix):
        found = [path for path in self.place(prefix).rglob("*") if path.is_file()]
        return sorted(f"tree://{path.relative_to(_root())}" for path in found)

    def put(self, path, data):
        place = self.place(path)
        if place.exists():
            raise BeamIOError(f"There is a file already: {path}")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)

    def has_dirs(self):
        return True

    def mkdirs(self, path):
        if self.place(path).exists():
            raise BeamIOError(f"There is a folder already: {path}")
        self.place(path).mkdir(parents=True)

    def _list(self, folder):
        place = self.place(folder)
        if not place.is_dir():
            raise BeamIOError(f"No folder: {folder}")
        for path in place.iterdir():
            yield self.metadata(f"tree://{path.relative_to(_root())}")

    def rename(self, sources, targets):
        for source, target in zip(sources, targets, strict=True):
            place = self.place(target)
            if place.exists() or not place.parent.is_dir():
                raise BeamIOError(f"Cannot rename to {target}")
            _changed("rename", target)
            self.place(source).rename(place)

    def exists(self, path):
        return self.place(path).exists()

    def delete(self, paths):
        for path in paths:
            _changed("delete", path)
            place = self.place(path)
            shutil.rmtree(place) if place.is_dir() else place.unlink()
