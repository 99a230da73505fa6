"""Without sparse gradients the optimizers take the same steps, over whole tables."""

from pathlib import Path

import pytest
from backends import assert_same_on_both

_SCRIPT = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
import numpy as np
from small_ranker import examples, small_ranker, trained
from tfmm.ranking import AdamAdagrad, LazyAdam, SparseAdagrad

rates = {{"embeddings": 5.0, "logit": 0.5}}
found = []
for optimizer in (
    AdamAdagrad(0.01, rates=rates, weight_decay=0.1, global_clipnorm=0.1),
    SparseAdagrad(0.1, rates=rates, clipnorm=1.0),
    LazyAdam(0.01, rates=rates, weight_decay=0.1),
):
    model = small_ranker(optimizer, rows=4)
    draw = np.random.default_rng(0)
    model.set_weights([draw.normal(size=w.shape) / 2 for w in model.get_weights()])
    (history, item), labels = examples(rows=4)
    item = np.arange(len(item), dtype="int32") % 4  # Every row is in every batch.
    found += trained(model, ((history, item), labels), epochs=2)
np.savez(sys.argv[1], *found)
"""


@pytest.mark.slow
def test_jax_takes_the_steps_of_tensorflow(tmp_path):
    assert_same_on_both(_SCRIPT, tmp_path, atol=1e-5)
