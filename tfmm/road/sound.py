"""Whether a recipe fits its tables, before hours of work say so."""

from tfmm.errors import TfmmError
from tfmm.identity import read_secret
from tfmm.road.road import Road
from tfmm.schema import Schema


def check_recipe(road: Road) -> None:
    """Refuses a recipe whose later stages could not run on its schema.

    Raises:
        TfmmError: For a missing key, missing vectors, or towers without the tables
            that they are trained on.
    """
    recipe = road.recipe
    with road.key_file() as key_file:
        read_secret(key_file)
    schema = Schema.from_yaml(road.schema_file)
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
