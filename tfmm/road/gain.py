"""`tfmm gain`: every way to use the vectors, trained on one run and compared."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tfmm.errors import TfmmError
from tfmm.evaluation.gain_rows import PRODUCTION, GainTable
from tfmm.road.rankers import ranker_folder, ranker_stage
from tfmm.road.ranking_recipe import VARIANTS
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road
from tfmm.road.sound import check_columns
from tfmm.road.stage import Stage
from tfmm.road.stages import STAGES
from tfmm.road.walk import walk

OFFSETS = ("base_score",)


def gain(
    road: Road, variants: Sequence[str] | None = None, offset: str | None = None
) -> GainTable:
    """Trains the rankers that are missing, compares all of them, writes the card.

    Every ranker is a stage of its own, with a ticket as the road's stages have: what
    was trained with the same settings stays, and an interrupted command goes on where
    it was. The recipe's own variants are those of its stage `rank`.

    Args:
        road: The run. What it lacks before the rankers is made first.
        variants: Names of variants; all known ones and the recipe's own when absent.
            The baseline is added.
        offset: `"base_score"` to train every ranker on top of the production model's
            logged score, which is then the baseline. The recipe's own when absent.

    Returns:
        The card, also in `gain/BASELINE` below the out folder.

    Raises:
        TfmmError: For an unknown variant or offset, or an offset that is not logged.
    """
    offset = offset or road.recipe.ranking.offset
    if offset is not None and offset not in OFFSETS:
        raise TfmmError(
            f"There is no such offset. Received: {offset!r}. "
            f"Choose {' or '.join(OFFSETS)}, or leave it out."
        )
    chosen = _chosen(road.recipe, variants)
    if road.schema_file.is_file():
        check_columns(road, offset)
    walk(road, gain_stages(road.recipe, chosen, offset))
    folder = road.path(_card_folder(road.recipe, offset))
    table = GainTable.open(folder / "gain.json")
    road.console.print(table.render())
    road.console.print(f"      {folder / 'gain.html'}")
    return table


def gain_stages(
    recipe: Recipe, chosen: Sequence[str], offset: str | None
) -> dict[str, Stage]:
    """The road up to its rankers, a stage for every further ranker, and the card.

    Args:
        recipe: The run's recipe.
        chosen: Names of variants.
        offset: What their logits start from.
    """
    ranking = recipe.ranking
    own = ranking.variants if offset == ranking.offset else {}
    names = list(STAGES)
    last = names.index("rank" if own else "make")
    stages = {name: STAGES[name] for name in names[: last + 1]}
    further = [ranker_stage(recipe, v, offset) for v in chosen if v not in own]
    if not ranking.uses_make and any("make" in stage.needs for stage in further):
        stages["make"] = replace(STAGES["make"], wanted=lambda recipe: True)
        if own:
            without = tuple(n for n in STAGES["rank"].needs if n != "make")
            stages["rank"] = replace(STAGES["rank"], needs=without)
    stages |= {stage.name: stage for stage in further}
    rankers = (*(["rank"] if own else []), *(stage.name for stage in further))
    card = _card_stage(recipe, chosen, offset, rankers)
    return {**stages, card.name: card}


def _chosen(recipe: Recipe, variants: Sequence[str] | None) -> tuple[str, ...]:
    known = {**VARIANTS, **recipe.ranking.variants}
    unknown = [name for name in variants or () if name not in known]
    if unknown:
        raise TfmmError(
            f"There are no such variants. Received: {', '.join(unknown)}. "
            f"Choose among {', '.join(known)}."
        )
    wanted = {*(variants or known), recipe.ranking.baseline}
    return tuple(name for name in known if name in wanted)


def _card_folder(recipe: Recipe, offset: str | None) -> str:
    return f"gain/{offset or recipe.ranking.baseline}"


def _card_stage(
    recipe: Recipe, chosen: Sequence[str], offset: str | None, needs: tuple[str, ...]
) -> Stage:
    folder = _card_folder(recipe, offset)
    baseline = PRODUCTION if offset else recipe.ranking.baseline
    rankers = {name: ranker_folder(recipe, name, offset) for name in chosen}

    def compare(road: Road) -> None:
        from tfmm.evaluation.gain_page import write_card
        from tfmm.records.manifest import write_manifest, writing
        from tfmm.road.judge import gain_of

        folders: dict[str, Path] = {name: road.path(at) for name, at in rankers.items()}
        table = gain_of(road, folders, baseline)
        shown = table.rows[0].all.impressions
        with writing(road.path(folder)) as tmp:
            write_card(tmp, table, road.recipe.name)
            counts: dict[str, Any] = {"read": shown, "written": shown, "dropped": {}}
            write_manifest(tmp, kind="gain", counts=counts)

    return Stage(
        f"gain-over-{offset or recipe.ranking.baseline}",
        "compares the rankers on the test requests",
        compare,
        (folder,),
        needs=needs,
        settings=lambda recipe: [list(chosen), baseline],
    )
