"""tf.data pipelines over records: what `fit` takes."""

from tfmm.data.items import items
from tfmm.data.pairs import pairs
from tfmm.data.requests import requests

__all__ = ["items", "pairs", "requests"]
