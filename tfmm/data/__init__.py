"""tf.data pipelines over records: what `fit` takes."""

from tfmm.data.item_batches import items
from tfmm.data.pair_batches import pairs
from tfmm.data.request_batches import requests

__all__ = ["items", "pairs", "requests"]
