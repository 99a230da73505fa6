"""SCL pre-training: losses, memory bank, momentum towers, the model, Acc@N."""

from tfmm.pretrain.augment import augment_pictures
from tfmm.pretrain.losses import info_nce, triplet
from tfmm.pretrain.memory_bank import MemoryBank
from tfmm.pretrain.momentum import MomentumTower
from tfmm.pretrain.retrieval import (
    RetrievalAccuracy,
    accuracy_at,
    retrieval_accuracy,
)
from tfmm.pretrain.scl import SCL
from tfmm.pretrain.temperature import Temperature

__all__ = [
    "SCL",
    "MemoryBank",
    "MomentumTower",
    "RetrievalAccuracy",
    "Temperature",
    "accuracy_at",
    "augment_pictures",
    "info_nce",
    "retrieval_accuracy",
    "triplet",
]
