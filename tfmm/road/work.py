"""Where a stage keeps what is of use only until it is done."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from tfmm.road.road import Road
from tfmm.road.stage import Stage
from tfmm.road.stages import STAGES
from tfmm.road.tickets import Tickets

CHECKPOINTS = "checkpoints"


@contextmanager
def work_of(
    road: Road, stage: str, stages: Mapping[str, Stage] = STAGES
) -> Iterator[Path]:
    """Yields the folder for a stage's checkpoints, and removes it on success.

    What the same stage left with other settings is removed at once.

    Args:
        road: The run.
        stage: The stage that runs.
        stages: All stages by name.
    """
    made_from = Tickets(road, stages).made_from(stages[stage])
    folder = road.path(".work", f"{stage}-{made_from[:16]}")
    for other in folder.parent.glob(f"{stage}-{'[0-9a-f]' * 16}"):
        if other != folder:
            shutil.rmtree(other)
    if folder.is_dir():
        road.console.print("      going on where it was interrupted")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)
    with suppress(OSError):  # Somebody keeps something else there.
        folder.parent.rmdir()
