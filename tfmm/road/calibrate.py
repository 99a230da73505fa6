"""Calibration of a ranker that was just trained, on the validation requests."""

from typing import Any

import tfmm
from tfmm.errors import TfmmError
from tfmm.evaluation import calibrate
from tfmm.records.manifest import read_manifest
from tfmm.records.vocabularies import Vocabularies
from tfmm.road.road import Road

BATCH = 256


def calibrate_ranker(road: Road, model: Any, vocabularies: Vocabularies) -> None:
    """Gives a ranker its scale and shift; says so where the data do not allow it.

    Args:
        road: The run.
        model: The ranker, trained and not yet saved.
        vocabularies: Those that it was built from.
    """
    folder = road.path("timelines", "validation")
    if not folder.is_dir() or not read_manifest(folder)["counts"]["requests"]:
        road.console.print(
            "      not calibrated: the schema's split has no validation requests"
        )
        return
    try:
        found = calibrate(model, tfmm.data.requests(folder, vocabularies, BATCH))
    except TfmmError as error:
        road.console.print(f"      not calibrated: {error}", markup=False)
        return
    for label, (scale, shift) in found.items():
        road.console.print(
            f"      calibrated {label}: logit * {scale:.3f} {shift:+.3f}", markup=False
        )
