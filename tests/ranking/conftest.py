from types import SimpleNamespace

import numpy as np
import pytest

from tfmm.records.spec import Feature, RequestSpec

ROWS = 14


def vector_table(rows, dimension, seed):
    """A quantised table whose last row, and rows 0 and 1, have no vector."""
    codes = np.random.default_rng(seed).integers(-127, 128, [rows, dimension])
    codes = codes.astype("int8")
    codes[[0, 1, -1]] = 0
    present = codes.any(1)
    norms = np.linalg.norm(codes.astype("float64"), axis=1)
    inverse = np.where(present, 1 / np.where(present, norms, 1), 0)
    return SimpleNamespace(
        codes=codes, inverse_norm=inverse.astype("float32"), present=present
    )


@pytest.fixture(scope="session")
def tables():
    return {"image": vector_table(ROWS, 8, 0), "text": vector_table(ROWS, 4, 1)}


@pytest.fixture(scope="session")
def vocabularies():
    features = (
        Feature("age", "categorical", "user", 5),
        Feature("income", "numeric", "user", 0),
        Feature("hour", "categorical", "context", 6),
        Feature("price", "numeric", "candidate", 0),
        Feature("slot", "categorical", "candidate", 4),
        Feature("category", "categorical", "item", 4),
        Feature("weight", "numeric", "item", 0),
    )
    spec = RequestSpec(9, 8, ROWS, features, ("view", "order"), ("click",), 6, 4)
    rng = np.random.default_rng(2)
    rows = np.r_[0, 1, rng.integers(1, 8, ROWS - 2)].astype("int32")
    codes = np.r_[0, 1, rng.integers(2, 4, ROWS - 2)].astype("int32")[:, None]
    numbers = rng.normal(size=[ROWS, 1]).astype("float32")
    items = SimpleNamespace(embedding_row=rows, codes=codes, numbers=numbers)
    return SimpleNamespace(spec=spec, items=items, index_stamp={})


def request_batch(size=5, history=6, items=4, seed=0):
    """Random valid requests; row 0 has no history, row 1 one candidate."""
    rng = np.random.default_rng(seed)

    def codes(high, *shape):
        return rng.integers(1, high, shape).astype("int32")

    n_history = rng.integers(1, history + 1, size).astype("int32")
    n_items = rng.integers(1, items + 1, size).astype("int32")
    n_history[0], n_items[:2] = 0, (items, 1)
    return {
        "user": codes(9, size),
        "user_key": rng.integers(0, 2**40, size),
        "time": rng.integers(0, 2**40, size),
        "user_age": codes(5, size),
        "user_income": rng.normal(size=size).astype("float32"),
        "context_hour": codes(6, size),
        "history_item": codes(ROWS, size, history),
        "history_type": codes(4, size, history),
        "n_history": n_history,
        "item": codes(ROWS, size, items),
        "candidate_price": rng.normal(size=[size, items]).astype("float32"),
        "candidate_slot": codes(4, size, items),
        "n_items": n_items,
        "label_click": rng.integers(0, 2, [size, items]).astype("float32"),
    }


def with_garbage(batch):
    """The batch with wild values everywhere beyond the counts."""
    dirty = {key: value.copy() for key, value in batch.items()}
    shown = np.arange(batch["item"].shape[1]) >= batch["n_items"][:, None]
    past = np.arange(batch["history_item"].shape[1]) >= batch["n_history"][:, None]
    for key, value in dirty.items():
        if value.ndim == 2:
            wild = np.nan if value.dtype.kind == "f" else 2_000_000_000
            value[past if key.startswith("history") else shown] = wild
    return dirty


@pytest.fixture
def batch():
    return request_batch()


@pytest.fixture
def make_batch():
    return request_batch


@pytest.fixture
def add_garbage():
    return with_garbage


@pytest.fixture
def make_table():
    return vector_table
