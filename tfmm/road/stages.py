"""All stages of the road, in order."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tfmm.road.stage import Stage

if TYPE_CHECKING:
    from tfmm.road.recipe import Recipe
    from tfmm.road.road import Road


def _work(module: str, name: str) -> Any:
    """A stage's function, imported when it runs: TensorFlow takes seconds."""

    def run(road: "Road") -> None:
        getattr(import_module(f"tfmm.road.{module}"), name)(road)

    return run


def _part(*names: str) -> Any:
    """The recipe's settings of these names, as plain types."""

    def settings(recipe: "Recipe") -> Any:
        return recipe.model_dump(mode="json", include=set(names), by_alias=True)

    return settings


def _outside(name: str) -> Any:
    """The state of something outside the out folder, see `tfmm.road.outside`."""

    def state(road: "Road") -> Any:
        return getattr(import_module("tfmm.road.outside"), name)(road)

    return state


def _pretrains(recipe: "Recipe") -> bool:
    return recipe.pretrain is not None


def _pair_settings(recipe: "Recipe") -> Any:
    """All that decides which pairs there are."""
    return recipe.pretrain and recipe.pretrain.sources


def _pretrain_settings(recipe: "Recipe") -> Any:
    """What changes the towers: how often they are kept on the way does not."""
    settings = _part("pretrain", "seed")(recipe)
    if settings["pretrain"]:
        del settings["pretrain"]["checkpoint_every"]
    return settings


def _has_media(recipe: "Recipe") -> bool:
    given = recipe.input
    own = recipe.vectors is not None and given.schema_file is not None
    return given.taobao_mm is None and not own


def _of_taobao_mm(recipe: "Recipe") -> Any:
    """How its facts become records: its scan alone would not notice a change."""
    given = recipe.input.taobao_mm
    return given and given.model_dump(mode="json", exclude={"source"})


def _rankers(recipe: "Recipe") -> tuple[str, ...]:
    return tuple(f"rankers/{name}" for name in recipe.ranking.variants)


ROLES = ("baseline", "published", "reported")


def _training_settings(recipe: "Recipe") -> Any:
    """What changes the rankers: what they are for does not."""
    settings = _part("ranking", "seed")(recipe)
    for role in ROLES:
        del settings["ranking"][role]
    return settings


def _roles(recipe: "Recipe") -> Any:
    return recipe.ranking.model_dump(include=set(ROLES))


def _export_settings(recipe: "Recipe") -> Any:
    return [recipe.saved_models, recipe.ranking.published, recipe.export.model_dump()]


def _uses_make(recipe: "Recipe") -> bool:
    return recipe.ranking.uses_make


STAGES = {
    stage.name: stage
    for stage in (
        Stage(
            "input",
            "makes or checks the input tables",
            _work("prepare", "input_tables"),
            ("input",),
            settings=_part("input"),
            reads=_outside("input_state"),
        ),
        Stage(
            "item-index",
            "gives every item its catalog row",
            _work("prepare", "item_index"),
            ("index",),
            needs=("input",),
        ),
        Stage(
            "item-media",
            "turns pictures and titles into item records",
            _work("prepare", "item_media"),
            ("items",),
            needs=("item-index",),
            wanted=_has_media,
        ),
        Stage(
            "search-pairs",
            "turns searches, clicks and items into pair records",
            _work("prepare", "search_pairs"),
            ("pairs", "pairs/train", "pairs/test"),
            needs=("item-index", "item-media"),
            settings=_pair_settings,
            wanted=_pretrains,
        ),
        Stage(
            "vocabularies",
            "counts what occurs in training",
            _work("prepare", "vocabularies"),
            ("vocabularies",),
            needs=("item-index",),
            settings=_of_taobao_mm,
            reads=_outside("key_state"),
        ),
        Stage(
            "behaviours",
            "turns the logs into timelines",
            _work("prepare", "behaviours"),
            ("timelines", "timelines/train", "timelines/test"),
            needs=("vocabularies",),
            settings=_of_taobao_mm,
            reads=_outside("key_state"),
        ),
        Stage(
            "audit",
            "looks for the label in histories and features",
            _work("audit", "audit"),
            ("audit.json",),
            needs=("vocabularies", "behaviours"),
            settings=_part("audit"),
        ),
        Stage(
            "pretrain",
            "trains the towers by SCL",
            _work("pretrain", "pretrain"),
            ("encoders",),
            needs=("item-media", "search-pairs"),
            settings=_pretrain_settings,
            reads=_outside("pretrain_state"),
            wanted=_pretrains,
        ),
        Stage(
            "embed-items",
            "puts every item's vectors into the catalog",
            _work("train", "embed_items"),
            ("catalog",),
            needs=("item-index", "item-media", "pretrain"),
            settings=_part("vectors"),
            reads=_outside("vectors_state"),
        ),
        Stage(
            "make",
            "trains MAKE on the vectors alone",
            _work("train", "make"),
            ("make",),
            needs=("behaviours", "embed-items"),
            settings=_part("make", "seed"),
            wanted=_uses_make,
        ),
        Stage(
            "rank",
            "trains the rankers",
            _work("rankers", "rank"),
            _rankers,
            needs=("behaviours", "embed-items", "make"),
            settings=_training_settings,
        ),
        Stage(
            "evaluate",
            "measures the gain on the test requests",
            _work("judge", "evaluate"),
            ("evaluation",),
            needs=("rank",),
            settings=_roles,
        ),
        Stage(
            "export",
            "publishes SavedModels",
            _work("judge", "export"),
            ("serving/export.json",),
            needs=("evaluate",),
            settings=_export_settings,
            leaves=_outside("exports_state"),
        ),
        Stage(
            "parity",
            "serves the export and asks it over REST",
            _work("judge", "parity"),
            ("serving/served.json",),
            needs=("export",),
        ),
        Stage(
            "report",
            "writes the report",
            _work("judge", "report"),
            ("report.html",),
            needs=("parity",),
        ),
    )
}
