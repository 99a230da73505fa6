"""The blocks of docs/adoption.md run in order and end in a model that trains."""

import re
from pathlib import Path

import numpy as np

GUIDE = Path(__file__).parents[2] / "docs" / "adoption.md"


def test_blocks_run_in_order():
    blocks = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    assert len(blocks) == 7
    found = {}
    for block in blocks:
        exec(block, found)
    model = found["model"]
    # 16 of the user, 16 of the item, 8 of its picture, 20 tiers, 8 of MAKE, 4 hidden.
    assert model.layers[-1].kernel.shape == (16 + 16 + 8 + 20 + 8 + 4, 1)
    assert model.optimizer.name == "lazy_adam"
    rng = np.random.default_rng(1)
    batch = {
        "user": rng.integers(0, 20, 32),
        "item": rng.integers(0, 50, 32),
        "history": rng.integers(0, 50, [32, 5]),
    }
    loss = model.train_on_batch(batch, rng.integers(0, 2, [32, 1]))
    assert np.isfinite(loss)
