"""MAKE, the ranking model and the optimizers that train them."""

from tfmm.ranking.carry import WarmStart
from tfmm.ranking.exact_top_k import top_k
from tfmm.ranking.explanation import Explanation, Matches, explain
from tfmm.ranking.interests import (
    DinInterest,
    HistorySearchInterest,
    Interest,
    MakeInterest,
    SemanticAttentionInterest,
    SimScoreInterest,
    SimTierInterest,
    VectorInterest,
)
from tfmm.ranking.loss_scale import RowLossScale
from tfmm.ranking.make import MAKE
from tfmm.ranking.make_extractor import MakeExtractor
from tfmm.ranking.model import RankingModel
from tfmm.ranking.optimizers import (
    AdamAdagrad,
    LazyAdam,
    SparseAdagrad,
    ranking_optimizer,
)
from tfmm.ranking.plain_task import PlainTask
from tfmm.ranking.request_model import RequestModel, masked_mean_loss
from tfmm.ranking.reset_embeddings import ResetEmbeddings
from tfmm.ranking.restarted import Restarted
from tfmm.ranking.retrieval import RetrievalModel
from tfmm.ranking.retrieval_loss import retrieval_losses, retrieval_task
from tfmm.ranking.shapes import RankerShapes
from tfmm.ranking.tfrs_tasks import ranking_task
from tfmm.ranking.views import Views

__all__ = [
    "MAKE",
    "AdamAdagrad",
    "DinInterest",
    "Explanation",
    "HistorySearchInterest",
    "Interest",
    "LazyAdam",
    "MakeExtractor",
    "MakeInterest",
    "Matches",
    "PlainTask",
    "RankerShapes",
    "RankingModel",
    "RequestModel",
    "ResetEmbeddings",
    "Restarted",
    "RetrievalModel",
    "RowLossScale",
    "SemanticAttentionInterest",
    "SimScoreInterest",
    "SimTierInterest",
    "SparseAdagrad",
    "VectorInterest",
    "Views",
    "WarmStart",
    "explain",
    "masked_mean_loss",
    "ranking_optimizer",
    "ranking_task",
    "retrieval_losses",
    "retrieval_task",
    "top_k",
]
