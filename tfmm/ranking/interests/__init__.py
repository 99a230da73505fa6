"""Interest modules: what a candidate has to do with the history."""

from tfmm.ranking.interests.base import Interest
from tfmm.ranking.interests.din import DinInterest
from tfmm.ranking.interests.history_search import HistorySearchInterest
from tfmm.ranking.interests.make import MakeInterest
from tfmm.ranking.interests.registry import interest_layer
from tfmm.ranking.interests.semantic_attention import SemanticAttentionInterest
from tfmm.ranking.interests.simscore import SimScoreInterest
from tfmm.ranking.interests.simtier import SimTierInterest
from tfmm.ranking.interests.vector import VectorInterest

__all__ = [
    "DinInterest",
    "HistorySearchInterest",
    "Interest",
    "MakeInterest",
    "SemanticAttentionInterest",
    "SimScoreInterest",
    "SimTierInterest",
    "VectorInterest",
    "interest_layer",
]
