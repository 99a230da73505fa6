"""Exact metrics over flat columns, the gain table, the report."""

from tfmm.evaluation.audit import Audit, audit_timelines
from tfmm.evaluation.collect import collect, collect_logged
from tfmm.evaluation.columns import Columns
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

__all__ = [
    "Audit",
    "Columns",
    "Cost",
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
    "gain_table",
    "gauc",
    "log_loss",
    "platt_scaling",
    "recall",
    "recall_at",
    "write_report",
]
