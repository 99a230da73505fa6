"""Exact metrics over flat columns, the gain table, the report."""

from tfmm.evaluation.collect import collect
from tfmm.evaluation.columns import Columns
from tfmm.evaluation.gain import gain_table
from tfmm.evaluation.gain_rows import GainRow, GainTable
from tfmm.evaluation.metrics import (
    GroupedAuc,
    auc,
    calibration,
    gauc,
    log_loss,
)
from tfmm.evaluation.report import write_report
from tfmm.evaluation.streaming import StreamingGauc

__all__ = [
    "Columns",
    "GainRow",
    "GainTable",
    "GroupedAuc",
    "StreamingGauc",
    "auc",
    "calibration",
    "collect",
    "gain_table",
    "gauc",
    "log_loss",
    "write_report",
]
