"""Callbacks that put the state of SCL into the logs, for all that reads them."""

from typing import Any

import keras
import numpy as np

Logs = dict[str, Any] | None


class TemperatureMonitor(keras.callbacks.Callback):
    """Adds each task's tau to the logs of an epoch: `<task>_temperature`.

    Example:
        >>> from types import SimpleNamespace
        >>> from tfmm.pretrain.temperature import Temperature
        >>> monitor, logs = TemperatureMonitor(), {}
        >>> tau = Temperature(0.5)
        >>> monitor.set_model(SimpleNamespace(temperatures={"image": tau}))
        >>> monitor.on_epoch_end(0, logs)
        >>> logs
        {'image_temperature': 0.5}
    """

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Adds the temperatures."""
        if logs is not None:
            for name, temperature in self.model.temperatures.items():
                logs[f"{name}_temperature"] = float(temperature.value())


class BankMonitor(keras.callbacks.Callback):
    """Adds the state of each memory bank to the logs of an epoch.

    `<modality>_bank_fill` is the share of its slots that hold a key;
    `<modality>_bank_age` and `<modality>_bank_max_age` are the mean and the largest
    age of its keys, in steps. Keys much older than the momentum copy's memory, some
    `1 / (1 - m)` steps, are of other towers than today's.

    Example:
        >>> from types import SimpleNamespace
        >>> from tfmm.pretrain.memory_bank import MemoryBank
        >>> bank = MemoryBank(size=4, dimension=1)
        >>> bank.enqueue(np.ones((1, 1)), np.array([7]))
        >>> monitor, logs = BankMonitor(), {}
        >>> monitor.set_model(SimpleNamespace(banks={"text": bank}))
        >>> monitor.on_epoch_end(0, logs)
        >>> logs
        {'text_bank_fill': 0.25, 'text_bank_age': 1.0, 'text_bank_max_age': 1.0}
    """

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Adds fill and ages."""
        if logs is not None:
            for name, bank in self.model.banks.items():
                age = bank.age()
                logs[f"{name}_bank_fill"] = age["fill"]
                logs[f"{name}_bank_age"] = age["mean"]
                logs[f"{name}_bank_max_age"] = age["max"]


class MeanAccuracy(keras.callbacks.Callback):
    """Adds the mean over the tasks of each Acc@N: `val_acc@1`, `val_acc@5`.

    One number to stop early by; tasks without a test pair do not count.

    Args:
        prefix: What the names of the tasks' accuracies begin with.

    Example:
        >>> logs = {"val_image_acc@1": 0.25, "val_text_acc@1": 0.75, "val_loss": 3.0}
        >>> MeanAccuracy().on_epoch_end(0, logs)
        >>> logs["val_acc@1"]
        0.5
    """

    def __init__(self, prefix: str = "val_") -> None:
        super().__init__()
        self.prefix = prefix

    def on_epoch_end(self, epoch: int, logs: Logs = None) -> None:
        """Adds the means."""
        found: dict[str, list[float]] = {}
        for name, value in (logs or {}).items():
            task, mark, rest = name.rpartition("_acc@")
            if mark and task.startswith(self.prefix) and not np.isnan(value):
                found.setdefault(f"{self.prefix}acc@{rest}", []).append(value)
        if logs is not None:
            logs.update({name: float(np.mean(v)) for name, v in found.items()})
