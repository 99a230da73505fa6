"""Random logs full of ties, and their schema."""

import numpy as np
import pyarrow as pa

from tfmm.schema import Schema

TYPES = ("cart", "click", "view")
SECOND = 1_000_000


def schema(request=None, position=None, **changes):
    log = {"files": "x", "user": "u", "item": "i", "time": "t", "labels": ["click"]}
    return Schema.model_validate(
        {
            "name": "random",
            "impressions": log | {"request": request, "position": position},
            "history": {"label": "click"},
            "requests": {"max_items": 3},
            "split": {"rule": "global_time", "validation_from": 5, "test_from": 7},
        }
        | changes
    )


def random_log(seed, rows=120):
    """Few users, items and moments, so that ties of every kind abound."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, rows))
    user = rng.integers(0, 5, n)
    shown = {
        "user": user,
        "item": rng.integers(2, 7, n),
        "time": rng.integers(0, 9, n) * SECOND,
        "source": np.arange(n),
        "label:click": rng.integers(0, 2, n).astype(float),
        "request": [f"r{x}" for x in rng.integers(0, 6, n)],
        "position": rng.integers(0, 3, n).astype(float),
    }
    n = int(rng.integers(0, rows))
    done = {
        "user": rng.integers(0, 6, n),
        "item": rng.integers(2, 7, n),
        "time": rng.integers(0, 9, n) * SECOND,
        "source": np.arange(n),
        "type": rng.choice(TYPES, n),
    }
    return pa.table(shown), pa.table(done)
