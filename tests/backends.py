"""One script on Keras's TensorFlow and JAX backends, each in a process of its own."""

import importlib.util
import os
import subprocess
import sys

import numpy as np
import pytest


def assert_same_on_both(script, folder, **tolerance):
    """Compares the arrays that a script saves to the `.npz` its argument names."""
    if importlib.util.find_spec("jax") is None:
        pytest.skip("jax is not installed (the extra `jax`)")
    results = []
    for backend in ("tensorflow", "jax"):
        path = folder / f"{backend}.npz"
        environment = {**os.environ, "KERAS_BACKEND": backend}
        command = [sys.executable, "-c", script, str(path)]
        subprocess.run(command, env=environment, check=True)
        with np.load(path, allow_pickle=False) as arrays:
            results.append(list(arrays.values()))
    for expected, actual in zip(*results, strict=True):
        np.testing.assert_allclose(actual, expected, **tolerance)
