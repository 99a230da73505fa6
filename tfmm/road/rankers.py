"""A ticket for every ranker: of the stage `rank`, and of those `tfmm gain` adds."""

import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tfmm.road.ranking_recipe import VARIANTS, Interest, names_of
from tfmm.road.recipe import Recipe
from tfmm.road.road import Road
from tfmm.road.stage import Stage
from tfmm.road.stages import ROLES, STAGES
from tfmm.road.tickets import Tickets


def rank(road: Road) -> None:
    """Trains the rankers of all variants that lack yet; all of them when asked again.

    A variant that is added, or an interruption, trains no other one anew.

    Args:
        road: The run.
    """
    again = Tickets(road, STAGES).is_done(STAGES["rank"])
    ranking = road.recipe.ranking
    for variant in ranking.variants:
        stage = ranker_stage(road.recipe, variant, ranking.offset)
        tickets = Tickets(road, _around(stage))
        if not again and tickets.stands(stage):
            road.console.print(f"      {variant} was trained before")
            continue
        began = time.monotonic()
        stage.run(road)
        tickets.finish(stage, time.monotonic() - began)


def ranker_stage(recipe: Recipe, variant: str, offset: str | None) -> Stage:
    """The stage that trains one ranker.

    Args:
        recipe: The run's recipe.
        variant: One of its variants, or one known by name.
        offset: What its logits start from.
    """
    folder = ranker_folder(recipe, variant, offset)
    names = set(names_of(_interests(recipe, variant)))
    needs = ("behaviours", *(["embed-items"] if names != {"din"} else []))
    prefix = "rank" if offset == recipe.ranking.offset else f"rank-on-{offset}"
    name = f"{prefix}-{variant}"

    def train(road: Road) -> None:
        from tfmm.road.train import train_ranker
        from tfmm.road.work import CHECKPOINTS, work_of

        with work_of(road, name, _around(stage)) as work:
            alone, at = _with(road, variant, offset), road.path(folder)
            train_ranker(alone, variant, at, work / CHECKPOINTS)

    stage = Stage(
        name,
        f"trains the ranker {variant}",
        train,
        (folder,),
        needs=(*needs, "make") if "make" in names else needs,
        settings=lambda recipe: _training_settings(recipe, variant, offset),
    )
    return stage


def ranker_folder(recipe: Recipe, variant: str, offset: str | None) -> str:
    """Where a ranker is kept, below the out folder."""
    plain = offset == recipe.ranking.offset
    return f"rankers/{variant}" if plain else f"rankers_on_{offset}/{variant}"


def _around(stage: Stage) -> Mapping[str, Stage]:
    """The road's stages and a ranker's, whose MAKE the recipe alone need not want."""
    make = replace(STAGES["make"], wanted=lambda recipe: True)
    return {**STAGES, "make": make, stage.name: stage}


def _interests(recipe: Recipe, variant: str) -> list[Interest]:
    return {**VARIANTS, **recipe.ranking.variants}[variant]


def _with(road: Road, variant: str, offset: str | None) -> Road:
    """The run with one variant alone."""
    interests = _interests(road.recipe, variant)
    update = {"variants": {variant: interests}, "offset": offset}
    ranking = road.recipe.ranking.model_copy(update=update)
    recipe = road.recipe.model_copy(update={"ranking": ranking})
    return Road(recipe, road.console)


def _training_settings(recipe: Recipe, variant: str, offset: str | None) -> Any:
    roles = {"variants", "offset", *ROLES}
    usual = recipe.ranking.model_dump(mode="json", exclude=roles)
    return [usual, recipe.seed, _interests(recipe, variant), offset]
