"""Whether days can be added to timelines of an earlier run, and how."""

from collections.abc import Mapping
from typing import Any

from beam_jobs import files
from beam_jobs.stretch import DAY, Stretch
from beam_jobs.timeline_shards import Previous
from beam_jobs.user_key import UserKey
from tfmm.errors import TfmmError
from tfmm.identity import require_key
from tfmm.records.index import ItemIndex
from tfmm.records.leak import moment
from tfmm.records.spec import RequestSpec
from tfmm.records.split import SPLITS
from tfmm.records.timeline import columns
from tfmm.schema import GlobalTime, Schema, microseconds

KIND = "timeline_sets"


def rules_of(schema: Schema, spec: RequestSpec) -> dict[str, Any]:
    """What all runs that add to the same timelines must agree on, as JSON types."""
    rules = {name: getattr(schema, name) for name in ("history", "requests", "split")}
    return {name: rule.model_dump(mode="json") for name, rule in rules.items()} | {
        "event_types": list(spec.event_types),
        "columns": [[column.name, column.per, column.type] for column in columns(spec)],
    }


def previous_of(
    folder: str,
    schema: Schema,
    spec: RequestSpec,
    index: ItemIndex,
    key: UserKey,
    stretch: Stretch,
) -> tuple[Previous, dict[str, Any]]:
    """The earlier timelines, and their manifest.

    Args:
        folder: Their folder.
        schema: The schema of this run.
        spec: Names the features of its records.
        index: Its item index, grown from the earlier one.
        key: Its key of the user hashes.
        stretch: The days to add.

    Raises:
        TfmmError: If the days cannot be added to these timelines.
    """
    found = files.manifest(folder, KIND)
    index.check(found["index"], f"`{folder}`")
    require_key(found.get("key_check"), key.read(), f"`{folder}`")
    horizon = found.get("horizon")
    if horizon is None:
        raise TfmmError(
            f"`{folder}` carries nothing over for later days. Expected: timelines "
            "made with `--to`. Run the whole log once with `--to` its last day."
        )
    if stretch.since is None or stretch.until is None:
        raise TfmmError(
            "Adding to timelines needs the days to add. Expected: `--from` and "
            f"`--to`. Received: {stretch.said()}."
        )
    if stretch.since < horizon:
        raise TfmmError(
            f"`{folder}` can take events from {moment(horizon)} on. Received: days "
            f"from {moment(stretch.since)}, the lateness included. Run the whole log, "
            "with a larger `--lateness_days`, to be able to go back as far."
        )
    if stretch.since > found["until"]:
        raise TfmmError(
            f"Days would be missing between `{folder}` and those to add. Expected: "
            f"from {moment(found['until'])} or earlier. Received: from "
            f"{moment(stretch.since)}. Begin with the first day that is missing."
        )
    _check_rules(found["rules"], rules_of(schema, spec), folder)
    _check_windows(schema)
    moved = _moved(found["rules"]["split"], schema, spec, folder)
    return Previous(folder, horizon, moved), found


def _check_rules(old: Mapping[str, Any], new: Mapping[str, Any], folder: str) -> None:
    for name in ("history", "requests", "event_types", "columns"):
        if old[name] != new[name]:
            raise TfmmError(
                f"`{folder}` was made by other rules, so that its records would not "
                f"fit the new ones. Expected: {name} {old[name]}. Received: "
                f"{new[name]}. Run the whole log again."
            )
    if old["split"]["rule"] != new["split"]["rule"]:
        raise TfmmError(
            f"`{folder}` was split by another rule. Expected: {old['split']['rule']}. "
            f"Received: {new['split']['rule']}. Run the whole log again."
        )


def _check_windows(schema: Schema) -> None:
    if schema.requests.window_seconds * 1_000_000 > DAY:
        raise TfmmError(
            "Days can be added to timelines only where a request is over within one. "
            f"Received: window_seconds {schema.requests.window_seconds}. Run the whole "
            "log again."
        )


def _moved(
    old: Mapping[str, Any], schema: Schema, spec: RequestSpec, folder: str
) -> tuple[str, ...]:
    """Parts that may have requests which now belong to another one."""
    new = schema.split.model_dump(mode="json")
    if isinstance(schema.split, GlobalTime):
        if old == new:
            return ()
        before = GlobalTime.model_validate({**old, "rule": "global_time"})
        if _known_from(before) <= _known_from(schema.split):
            return SPLITS[1:]
    elif old == new and not spec.weight:
        return ()
    if spec.weight:
        raise TfmmError(
            f"`{folder}` has sampled negatives in training, and with this split some "
            "of its requests would leave training. Run the whole log again."
        )
    return SPLITS


def _known_from(split: GlobalTime) -> int:
    """The first moment after training."""
    first = split.test_from if split.validation_from is None else split.validation_from
    return microseconds(first)
