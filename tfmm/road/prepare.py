"""Stages from the input tables to records, each a Beam job."""

from pathlib import Path
from typing import Any

from rich.markup import escape
from rich.progress import Progress

from tfmm import tables
from tfmm.records.manifest import write_manifest, writing
from tfmm.records.sources import describe
from tfmm.road import taobao_mm
from tfmm.road.road import Road
from tfmm.road.sound import check_recipe
from tfmm.road.source_folder import source_folder
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
    elif given.taobao_mm:
        taobao_mm.scan(road)
        return
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
    return source_folder(road.recipe.input.movielens.source)


def item_index(road: Road) -> None:
    """Rows for all items; an index that stands already is extended."""
    if road.recipe.input.taobao_mm:
        taobao_mm.item_index(road)
        return
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
    if road.recipe.input.taobao_mm:
        taobao_mm.vocabularies(road)
        return
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
    write = taobao_mm.timelines if road.recipe.input.taobao_mm else _timelines
    manifest = write(road)
    for part, counts in manifest["parts"].items():
        road.console.print(
            f"      {part}: {counts['requests']:,} requests, "
            f"{counts['impressions']:,} impressions, {counts['positives']:,} positives"
        )


def _timelines(road: Road) -> dict[str, Any]:
    from beam_jobs import behaviours as job

    with road.key_file() as key_file:
        return job.run(
            str(road.schema_file),
            str(road.path("index")),
            str(road.path("vocabularies")),
            str(road.path("timelines")),
            key_file,
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
