"""Looks for the label in what a model sees before it: histories and features."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tfmm.errors import TfmmError
from tfmm.evaluation.audit_checks import (
    Finding,
    late_events,
    own_clicks,
    telling_features,
)
from tfmm.evaluation.audit_sample import sample_timelines
from tfmm.records.vocabularies import Vocabularies

MOST = 20_000


@dataclass(frozen=True)
class Audit:
    """What an audit looked at and found.

    Attributes:
        requests: Requests looked at.
        impressions: Their shown items.
        findings: What is suspicious; empty is well.
    """

    requests: int
    impressions: int
    findings: tuple[Finding, ...]

    def to_dict(self) -> dict[str, Any]:
        """As plain JSON types."""
        return asdict(self)

    def refuse(self, allow: Collection[str] = ()) -> None:
        """Raises what was found, except what is known to be right.

        Args:
            allow: Names of findings to let pass. Events of the request's own moment or
                later never pass.

        Raises:
            TfmmError: With every finding that is left, counts and examples.
        """
        left = [f for f in self.findings if not f.allowable or f.name not in allow]
        if left:
            raise TfmmError("\n".join(finding.text for finding in left))


def audit_timelines(
    folder: str | Path, vocabularies: Vocabularies, most: int = MOST
) -> Audit:
    """Looks for the label where no label may be, on a sample of timelines.

    Three leaks make a model that is perfect offline and useless online:

    * events in a history that are not strictly earlier than the request;
    * a candidate's own click in its history, because events are logged before the
      impression they belong to or their times are rounded: what was in the history
      just before is then clicked nearly always;
    * a feature that tells the label all by itself, with an AUC above 0.98: it was
      written after the click.

    Args:
        folder: A folder of timelines, such as `timelines/train`.
        vocabularies: Those the timelines belong to.
        most: About how many requests to look at. Defaults to 20,000, a second or two.

    Returns:
        `Audit`; its texts name users by their keyed hash alone.

    Raises:
        TfmmError: The folder is unfinished or damaged.
    """
    sample = sample_timelines(folder, vocabularies.spec, most)
    findings = [
        *late_events(sample),
        *own_clicks(sample),
        *telling_features(sample, vocabularies),
    ]
    return Audit(len(sample.time), len(sample.item), tuple(findings))
