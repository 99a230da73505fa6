"""Walks the stages of the road in order, leaving out what is done."""

import time

from tfmm.errors import TfmmError
from tfmm.road.road import Road
from tfmm.road.stage import Stage
from tfmm.road.tickets import Tickets


def walk(
    road: Road,
    stages: dict[str, Stage],
    only: str | None = None,
    start: str | None = None,
) -> None:
    """Walks the stages in order, leaving out what is done.

    Args:
        road: The run.
        stages: All stages by name, in order.
        only: The one stage to run, again if it is done.
        start: The first stage to run again; later ones follow.

    Raises:
        TfmmError: For an unknown stage, or `only` before what it needs is done.
    """
    tickets = Tickets(road, stages)
    chosen = [stage for stage in stages.values() if stage.wanted(road.recipe)]
    names = [stage.name for stage in chosen]
    for name in (only, start):
        if name is not None and name not in names:
            raise TfmmError(
                f"This recipe has no stage {name!r}. Choose one of {', '.join(names)}."
            )
    again = False
    for number, stage in enumerate(chosen, 1):
        again = again or stage.name == start
        label = f"[bold]{number:>2}/{len(chosen)} {stage.name}[/] {stage.what}"
        if only is not None and stage.name != only:
            continue
        if only is None and not again and tickets.is_done(stage):
            took = tickets.seconds(stage)
            road.console.print(f"{label} [green]done before[/] [dim]({took} s)[/]")
            continue
        tickets.check_needs(stage)
        began = time.monotonic()
        road.console.print(label)
        stage.run(road)
        tickets.finish(stage, time.monotonic() - began)
        took = time.monotonic() - began
        road.console.print(f"      [green]done[/] in {took:.1f} s")
