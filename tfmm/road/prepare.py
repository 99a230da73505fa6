"""Stages from the input tables to records, each a Beam job."""

import os
from pathlib import Path

from rich.markup import escape
from rich.progress import Progress

from tfmm import tables
from tfmm.errors import TfmmError
from tfmm.records.manifest import write_manifest, writing
from tfmm.records.sources import describe
from tfmm.road.road import Road
from tfmm.road.sound import check_recipe
from tfmm.schema import Schema


def input_tables(road: Road) -> None:
    """Makes the input tables, or checks the user's own."""
    given, target = road.recipe.input, road.path("input")
    if given.marketplace:
        from tfmm.datasets.marketplace import generate

        with Progress(console=road.console, transient=True) as progress:
            task = progress.add_task("Simulating")

            def show(what: str, done: int, total: int) -> None:
                progress.update(task, description=what, completed=done, total=total)

            generate(target, given.marketplace.size, given.marketplace.seed, show)
    elif given.movielens:
        from tfmm.datasets.movielens import convert

        convert(movielens_source(road), target, users=given.movielens.users)
    else:
        check_recipe(road)
        rows = _rows(Schema.from_yaml(road.schema_file))
        with writing(target) as tmp:
            counts = {"read": sum(rows.values()), "written": rows, "dropped": {}}
            write_manifest(tmp, kind="input", counts=counts)
    _show_tables(road)


def movielens_source(road: Road) -> Path:
    """The MovieLens folder that the recipe names."""
    assert road.recipe.input.movielens
    source = os.path.expandvars(road.recipe.input.movielens.source)
    if "$" in source:
        raise TfmmError(
            "The recipe reads MovieLens from a folder that a variable names. Received: "
            f"{source}. Set the variable, or write the folder into a copy of the "
            "recipe."
        )
    return Path(source)


def item_index(road: Road) -> None:
    """Rows for all items; an index that stands already is extended."""
    from beam_jobs import item_index as job

    output = road.path("index")
    previous = str(output) if (output / "manifest.json").is_file() else None
    job.run(str(road.schema_file), str(output), previous)


def item_media(road: Road) -> None:
    """Item records."""
    from beam_jobs import item_media as job

    job.run(str(road.schema_file), str(road.path("index")), str(road.path("items")))


def search_pairs(road: Road) -> None:
    """Pair records, from the sources that the tasks name."""
    from beam_jobs import search_pairs as job

    assert road.recipe.pretrain
    manifest = job.run(
        str(road.schema_file),
        str(road.path("index")),
        str(road.path("pairs")),
        items=str(road.path("items")),
        sources=road.recipe.pretrain.sources,
    )
    road.console.print(f"      {describe(manifest['sources'])}")


def vocabularies(road: Road) -> None:
    """Vocabularies from the training part."""
    from beam_jobs import vocabularies as job

    with road.key_file() as key_file:
        job.run(
            str(road.schema_file),
            str(road.path("index")),
            str(road.path("vocabularies")),
            key_file,
        )


def behaviours(road: Road) -> None:
    """Timeline records."""
    from beam_jobs import behaviours as job

    with road.key_file() as key_file:
        manifest = job.run(
            str(road.schema_file),
            str(road.path("index")),
            str(road.path("vocabularies")),
            str(road.path("timelines")),
            key_file,
        )
    for part, counts in manifest["parts"].items():
        road.console.print(
            f"      {part}: {counts['requests']:,} requests, "
            f"{counts['impressions']:,} impressions, {counts['positives']:,} positives"
        )


def _rows(schema: Schema) -> dict[str, int]:
    """Rows of every table, readable or not."""
    found = {}
    for name, table in schema.tables().items():
        first = next(iter(table.columns()))
        found[name] = sum(
            chunk.num_rows + len(letters)
            for part in tables.parts(table, schema.folder)
            for chunk, letters in tables.read(table, part, schema.time_unit, [first])
        )
    return found


def _show_tables(road: Road) -> None:
    schema = Schema.from_yaml(road.schema_file)
    for name, table in schema.tables().items():
        pieces = tables.parts(table, schema.folder)
        files = ", ".join(dict.fromkeys(Path(piece.file).name for piece in pieces))
        road.console.print(f"      {name}: {escape(files)}")
