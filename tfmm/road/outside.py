"""What stages read outside the out folder, and how a change of it is noticed."""

from pathlib import Path
from typing import Any

from tfmm import tables
from tfmm.export.publish import withdrawn_folder
from tfmm.identity import key_check, read_secret
from tfmm.records.manifest import NAME
from tfmm.road.road import Road
from tfmm.schema import Schema

State = list[tuple[str, int, int]]


def input_state(road: Road) -> Any:
    """The schema and the tables that it names, or the source of a data set."""
    given = road.recipe.input
    if given.movielens is not None:
        from tfmm.road.prepare import movielens_source

        return str(movielens_source(road).absolute())
    if given.taobao_mm is not None:
        from tfmm.road.taobao_mm import public_log

        return _state(public_log(road).files())
    if given.schema_file is None:
        return None
    schema = Schema.from_yaml(road.schema_file)
    files = [
        part.file
        for table in schema.tables().values()
        for part in tables.parts(table, schema.folder)
    ]
    return _state([road.schema_file, *dict.fromkeys(files)])


def vectors_state(road: Road) -> State | None:
    """The user's own vectors."""
    vectors = road.recipe.vectors
    if vectors is None:
        return None
    names = [vectors.file, vectors.ids]
    return _state([road.recipe.folder / name for name in names if name])


def pretrain_state(road: Road) -> State | None:
    """The user's own training pairs, and vectors that are a tower."""
    settings = road.recipe.pretrain
    if settings is None:
        return None
    vector = settings.vector
    names = vector.files if vector else []
    pairs = [f"{settings.pairs}/{NAME}"] if settings.pairs else []
    return _state([road.recipe.folder / name for name in [*names, *pairs]])


def key_state(road: Road) -> str | None:
    """A check value of the user hash key, which tells nothing of the key."""
    if road.recipe.input.taobao_mm is not None:
        return None  # Its users are hashes already.
    with road.key_file() as key_file:
        return key_check(read_secret(key_file))


def exports_state(road: Road) -> State:
    """The models that the last export published.

    One that was rolled back since is there as it was: it is not made again, which would
    publish it anew.
    """
    found = []
    for folder in road.published().values():
        gone = withdrawn_folder(folder.parent, int(folder.name))
        (state,) = _state([(folder if folder.is_dir() else gone) / "saved_model.pb"])
        found.append((str(folder / "saved_model.pb"), *state[1:]))
    return found


def _state(files: list[Path | str]) -> State:
    """Name, size and time of change of local files; -1 where a file is missing."""
    found = []
    for file in files:
        path = Path(file)
        if "://" in str(file):
            continue
        if not path.is_file():
            found.append((str(path), -1, -1))
            continue
        state = path.stat()
        found.append((str(path), state.st_size, state.st_mtime_ns))
    return found
