"""SCL pre-training: losses, memory bank, momentum towers, the model, Acc@N."""

from tfmm.pretrain.augment import augment_pictures
from tfmm.pretrain.losses import info_nce, triplet
from tfmm.pretrain.memory_bank import MemoryBank
from tfmm.pretrain.momentum import MomentumTower, Ramp
from tfmm.pretrain.ranks import accuracy, answer_ranks, recall
from tfmm.pretrain.retrieval import (
    RetrievalAccuracy,
    embed_pairs,
    retrieval_accuracy,
)
from tfmm.pretrain.scl import SCL
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
    "embed_pairs",
    "info_nce",
    "recall",
    "retrieval_accuracy",
    "triplet",
]
