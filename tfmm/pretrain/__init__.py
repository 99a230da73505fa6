"""SCL pre-training: losses, memory bank, momentum towers, the model, Acc@N."""

from tfmm.pretrain.augment import augment_pictures
from tfmm.pretrain.losses import bank_nce, info_nce, triplet
from tfmm.pretrain.memory_bank import MemoryBank
from tfmm.pretrain.momentum import MomentumTower, Ramp
from tfmm.pretrain.probe import neighbour_probe, probe_catalog, zero_shot_probe
from tfmm.pretrain.ranks import accuracy, answer_ranks, recall
from tfmm.pretrain.retrieval import (
    RetrievalAccuracy,
    embed_pairs,
    retrieval_accuracy,
)
from tfmm.pretrain.scl import SCL
from tfmm.pretrain.slices import frequency_bands, slice_table
from tfmm.pretrain.task import Task
from tfmm.pretrain.temperature import Temperature

__all__ = [
    "SCL",
    "MemoryBank",
    "MomentumTower",
    "Ramp",
    "RetrievalAccuracy",
    "Task",
    "Temperature",
    "accuracy",
    "answer_ranks",
    "augment_pictures",
    "bank_nce",
    "embed_pairs",
    "frequency_bands",
    "info_nce",
    "neighbour_probe",
    "probe_catalog",
    "recall",
    "retrieval_accuracy",
    "slice_table",
    "triplet",
    "zero_shot_probe",
]
