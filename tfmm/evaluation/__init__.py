"""Exact metrics over flat columns, the gain table, the report."""

from typing import TYPE_CHECKING, Any

from tfmm.evaluation.audit import Audit, audit_timelines
from tfmm.evaluation.collect import collect, collect_logged
from tfmm.evaluation.columns import Columns
from tfmm.evaluation.epoch_curves import epoch_chart, epoch_table
from tfmm.evaluation.gain import gain_table
from tfmm.evaluation.gain_rows import GainRow, GainTable
from tfmm.evaluation.gain_values import Cost
from tfmm.evaluation.metrics import (
    GroupedAuc,
    auc,
    calibration,
    gauc,
    log_loss,
)
from tfmm.evaluation.platt import Platt, calibrate, platt_scaling
from tfmm.evaluation.report import write_report
from tfmm.evaluation.retrieval_recall import recall, recall_at
from tfmm.evaluation.streaming import StreamingGauc

if TYPE_CHECKING:
    from tfmm.evaluation.epoch_monitor import EpochMonitor as EpochMonitor

__all__ = [
    "Audit",
    "Columns",
    "Cost",
    "EpochMonitor",
    "GainRow",
    "GainTable",
    "GroupedAuc",
    "Platt",
    "StreamingGauc",
    "auc",
    "audit_timelines",
    "calibrate",
    "calibration",
    "collect",
    "collect_logged",
    "epoch_chart",
    "epoch_table",
    "gain_table",
    "gauc",
    "log_loss",
    "platt_scaling",
    "recall",
    "recall_at",
    "write_report",
]


def __getattr__(name: str) -> Any:
    # The only name that needs Keras; data sets import this room for its metrics.
    if name == "EpochMonitor":
        from tfmm.evaluation.epoch_monitor import EpochMonitor

        return EpochMonitor
    raise AttributeError(f"module 'tfmm.evaluation' has no attribute {name!r}")
