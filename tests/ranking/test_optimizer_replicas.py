import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("optimizer_replicas.py")
ROOT = SCRIPT.parents[2]
CASES = [
    ["LazyAdam", "float32", {"rates": {"embeddings": 2.0}}],
    ["SparseAdagrad", "float32", {"learning_rate": 0.1}],
    ["AdamAdagrad", "float32", {"weight_decay": 0.1}],
    ["LazyAdam", "mixed_float16", {}],
]


def trained(devices):
    """Logical devices must be set up before TensorFlow starts: in a process each."""
    command = [sys.executable, str(SCRIPT), str(devices), json.dumps(CASES)]
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.rpartition("RESULT")[2])


@pytest.mark.slow
def test_two_logical_devices_give_the_updates_of_one():
    for case, one, two in zip(CASES, trained(1), trained(2), strict=True):
        assert two["apart"] == 0.0, case
        assert two["large"] == [], case
        tolerance = 1e-5 if case[1] == "float32" else 1e-2
        for ours, theirs in zip(one["weights"], two["weights"], strict=True):
            np.testing.assert_allclose(theirs, ours, atol=tolerance)
