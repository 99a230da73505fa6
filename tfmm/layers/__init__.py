"""Layers on plain tensors, each a thin shell over public stateless functions."""

from tfmm.layers.embedding import Embedding
from tfmm.layers.frozen_vectors import FrozenVectors, VectorRows, unit_vectors
from tfmm.layers.gather import gather_distinct, gather_positions, gather_rows
from tfmm.layers.history_search import HistorySearch, most_similar, same_category
from tfmm.layers.masks import keep_valid, masked_mean, pair_mask, valid_mask
from tfmm.layers.pooling import (
    MaskedPooling,
    masked_max,
    masked_sqrtn,
    masked_sum,
)
from tfmm.layers.rounded_tables import rounded_tables
from tfmm.layers.semantic_attention import (
    SemanticTargetAttention,
    dot_scores,
    semantic_scores,
)
from tfmm.layers.similarity import (
    HistorySimilarity,
    cosine_similarity,
    inverse_norms,
)
from tfmm.layers.simtier import SimTier, sim_tier, slot_of, tier_of
from tfmm.layers.small_embedding import SmallEmbedding
from tfmm.layers.target_attention import (
    TargetAttention,
    interaction_hidden,
    masked_weights,
)

__all__ = [
    "Embedding",
    "FrozenVectors",
    "HistorySearch",
    "HistorySimilarity",
    "MaskedPooling",
    "SemanticTargetAttention",
    "SimTier",
    "SmallEmbedding",
    "TargetAttention",
    "VectorRows",
    "cosine_similarity",
    "dot_scores",
    "gather_distinct",
    "gather_positions",
    "gather_rows",
    "interaction_hidden",
    "inverse_norms",
    "keep_valid",
    "masked_max",
    "masked_mean",
    "masked_sqrtn",
    "masked_sum",
    "masked_weights",
    "most_similar",
    "pair_mask",
    "rounded_tables",
    "same_category",
    "semantic_scores",
    "sim_tier",
    "slot_of",
    "tier_of",
    "unit_vectors",
    "valid_mask",
]
