"""What a fit shows while it runs."""

import io

import keras
import numpy as np
import pytest
from rich.console import Console

from tfmm.road.pretrain_line import pretrain_line
from tfmm.road.progress import Progress


def test_a_line_per_epoch_and_no_bar_left_behind():
    console = Console(file=io.StringIO(), width=120)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.ones((4, 1), "float32")
    with Progress(console, "Dense", lambda logs: f"{len(logs)} number") as progress:
        model.fit(x, x, epochs=2, verbose=0, callbacks=[progress])
    shown = console.file.getvalue()
    assert shown.count("1 number") == 2
    assert "Dense epoch 2: 1 number" in shown
    with pytest.raises(KeyboardInterrupt), Progress(console, "Dense") as progress:
        progress.set_params({"epochs": 1, "steps": 2})
        progress.on_train_begin()
        raise KeyboardInterrupt
    assert progress._bars is None


def test_a_pretraining_line_says_what_matters():
    logs = {
        "loss": 3.0,
        "image_loss": 1.0,
        "text_loss": 2.0,
        "val_loss": 3.5,
        "val_image_acc@1": 0.25,
        "val_image_acc@5": 0.5,
        "image_temperature": 0.07,
        "text_temperature": 0.05,
        "image_bank_age": 9.0,
    }
    assert pretrain_line(logs) == (
        "loss 3.000, test 3.500\n"
        "        image Acc@1 0.250, Acc@5 0.500, tau 0.0700\n"
        "        text tau 0.0500"
    )
    spread = {"std": 0.9, "uniformity": -3.0, "distinct": 0.8}
    point = {"std": 0.01, "uniformity": -0.1, "distinct": 0.8}
    for numbers, collapsed in ((spread, False), (point, True)):
        named = {f"val_image_{name}": value for name, value in numbers.items()}
        assert ("image collapses" in pretrain_line(logs | named)) is collapsed
