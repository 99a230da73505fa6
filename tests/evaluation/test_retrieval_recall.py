import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.evaluation import recall, recall_at


def test_by_hand():
    found = np.array([[2, 3, 4], [5, 6, 7], [2, 9, 8]])
    # 1 of 2, nothing wanted, 1 of 1 (a repeat counts once): (1/2 + 1) / 2.
    assert recall(found, [[3, 9], [], [8, 8]]) == 0.75
    assert recall(found[:, :1], [[3, 9], [], [8, 8]]) == 0


class Model:
    """Three items on the axes; a request asks for one by its user code."""

    labels = ("buy",)

    def item_vectors(self):
        return np.concatenate([np.zeros((2, 3)), np.eye(3)])

    def user_vectors(self, batch):
        return np.eye(3)[batch["user"]] + [0.3, 0.2, 0.1]


def batch():
    return {
        "user": np.array([0, 1, 2]),
        "item": np.array([[2, 4], [4, 3], [9, 9]]),
        "n_items": np.array([2, 1, 0]),
        "label_buy": np.array([[1, 1], [1, 1], [1, np.nan]]),
    }


def test_clicks_of_valid_candidates_among_all_items():
    # Request 0 wants rows 2 and 4 and ranks 2, 3, 4; request 1 wants 4 (row 3 is
    # padding) and ranks 3, 2, 4; request 2 has no candidate.
    found = recall_at(Model(), [batch()], ks=(1, 2, 3))
    assert found == {"recall@1": 0.25, "recall@2": 0.25, "recall@3": 1.0}


def test_errors_teach():
    with pytest.raises(TfmmError, match=r"ks=\[0\]"):
        recall_at(Model(), [batch()], ks=[0])
    nothing = batch() | {"label_buy": np.zeros((3, 2))}
    for requests in ([nothing], []):
        with pytest.raises(TfmmError, match="at least one wanted item"):
            recall_at(Model(), requests, ks=[1])
