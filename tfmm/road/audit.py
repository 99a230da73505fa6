"""The stage that looks for the label in histories and features."""

import json

from rich.markup import escape

from tfmm.evaluation import audit_timelines
from tfmm.records.index import ItemIndex
from tfmm.records.vocabularies import Vocabularies
from tfmm.road.road import Road


def audit(road: Road) -> None:
    """Audits the training timelines; stops at what the recipe does not allow."""
    index = ItemIndex.open(road.path("index"))
    vocabularies = Vocabularies.open(road.path("vocabularies"), index)
    found = audit_timelines(road.path("timelines", "train"), vocabularies)
    found.refuse(road.recipe.audit.allow)
    path = road.path("audit.json")
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps(found.to_dict(), indent=1) + "\n", encoding="utf-8")
    aside.replace(path)
    road.console.print(
        f"      {found.requests:,} requests with {found.impressions:,} impressions: "
        + ("allowed by the recipe" if found.findings else "no leak found")
    )
    for finding in found.findings:
        road.console.print(f"      [yellow]{escape(finding.text)}[/]")
