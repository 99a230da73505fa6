"""The requests that rankers are judged on."""

from typing import Any

import tfmm
from tfmm.road.road import Road

TEST_BATCH = 256


def requests_of_the_test(
    road: Road, vocabularies: Any, batch_size: int = TEST_BATCH
) -> Any:
    """The test requests in order."""
    return tfmm.data.requests(road.path("timelines", "test"), vocabularies, batch_size)
