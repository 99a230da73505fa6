"""Whether a recipe fits its tables, before hours of work say so."""

from tfmm.errors import TfmmError
from tfmm.identity import read_secret
from tfmm.road.road import Road
from tfmm.schema import Schema


def check_recipe(road: Road) -> None:
    """Refuses a recipe whose later stages could not run on its schema.

    Raises:
        TfmmError: For a missing key, missing vectors, towers without the tables that
            they are trained on, or rankers without the columns.
    """
    recipe = road.recipe
    with road.key_file() as key_file:
        read_secret(key_file)
    schema = Schema.from_yaml(road.schema_file)
    check_columns(road, recipe.ranking.offset)
    if recipe.vectors is not None:
        for name in filter(None, (recipe.vectors.file, recipe.vectors.ids)):
            if not (recipe.folder / name).is_file():
                raise TfmmError(
                    f"There is no file `{recipe.folder / name}` of vectors. Correct "
                    "`vectors` in the recipe; paths start at the recipe's folder."
                )
    pretrain = recipe.pretrain
    if pretrain is None:
        return
    # Pairs of an item with itself need no searches.
    needed = ["items"] + ["searches"] * (pretrain.sources != ("item",))
    for table in needed:
        if getattr(schema, table) is None:
            raise TfmmError(
                f"`pretrain` trains towers on {' and '.join(needed)}, and the schema "
                f"`{road.schema_file}` has no `{table}`. Add the table, train on the "
                "items alone (`tasks: [item:text->image]`), or put `vectors: {file: "
                "..., name: ..., version: ...}` in place of `pretrain`."
            )
    vector = pretrain.vector
    for name in vector.files if vector else ():
        if not (recipe.folder / name).is_file():
            raise TfmmError(
                f"There is no file `{recipe.folder / name}` of vectors. Correct "
                "`pretrain.vector` in the recipe; paths start at the recipe's folder."
            )


def check_columns(road: Road, offset: str | None) -> None:
    """Refuses labels, a position or an offset that the log does not have.

    Args:
        road: The run, whose schema is there.
        offset: What the rankers' logits start from.

    Raises:
        TfmmError: At the first that is not there.
    """
    log, ranking = Schema.from_yaml(road.schema_file).impressions, road.recipe.ranking
    unknown = [name for name in ranking.labels or () if name not in log.labels]
    if unknown:
        raise TfmmError(
            f"`ranking.labels` names {', '.join(unknown)}, and `impressions.labels` of "
            f"`{road.schema_file}` are {', '.join(log.labels)}. Correct either."
        )
    for name, wanted in (("position", ranking.position), ("base_score", offset)):
        if wanted and getattr(log, name) is None:
            raise TfmmError(
                f"The rankers are to use `{name}`, and `{road.schema_file}` names no "
                f"such column. Add `{name}: COLUMN` to `impressions`, or leave it out."
            )
