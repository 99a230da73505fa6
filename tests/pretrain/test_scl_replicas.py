import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

SCRIPT = Path(__file__).with_name("scl_replicas.py")


def trained(devices, settings):
    """Logical devices must be set up before TensorFlow starts: in a process each."""
    command = [sys.executable, str(SCRIPT), str(devices), json.dumps(settings)]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=SCRIPT.parents[2]
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.rpartition("RESULT")[2])


@pytest.mark.slow
@pytest.mark.parametrize(
    "settings",
    [
        {
            "tasks": ["image->image", "text->text", "text->image"],
            "bank_size": 16,
            "symmetric": True,
            "fused": False,
        },
        {"tasks": ["fused->fused"], "bank_size": 40, "chunk_size": 3, "fused": True},
    ],
)
def test_two_logical_devices_give_the_updates_of_one(settings):
    one, two = trained(1, settings), trained(2, settings)
    assert two["apart"] == 0.0
    assert "gradient_accumulation_steps=2 on 2 replicas" in two["refused"]
    assert "val_loss" in one["history"]
    for name, values in one["history"].items():
        np.testing.assert_allclose(two["history"][name], values, rtol=1e-4)
    for ours, theirs in zip(one["variables"], two["variables"], strict=True):
        np.testing.assert_allclose(theirs, ours, atol=1e-4)
