"""Shows a fit's progress: a bar while it runs, a line of numbers per epoch."""

import time
from collections.abc import Callable, Mapping
from typing import Any, Self

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


def all_numbers(logs: Mapping[str, float]) -> str:
    """Every metric of an epoch.

    Example:
        >>> all_numbers({"loss": 0.5, "val_auc": 0.75})
        'loss 0.5000, val_auc 0.7500'
    """
    return ", ".join(f"{name} {value:.4f}" for name, value in logs.items())


class Progress(keras.callbacks.Callback):
    """A bar over the steps of each epoch, then the epoch's metrics in one line.

    As a context it takes the bar away at the end, however the fit ends.

    Args:
        console: Where to show it.
        name: What is trained.
        line: From an epoch's metrics to the text of its line.
    """

    def __init__(
        self,
        console: Console,
        name: str,
        line: Callable[[Mapping[str, float]], str] = all_numbers,
    ) -> None:
        super().__init__()
        self._console, self._name, self._line = console, name, line
        self._bars: Bars | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: Any) -> None:
        self.on_train_end()

    def on_train_begin(self, logs: Any = None) -> None:
        self._bars = Bars(
            TextColumn("      {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self._console,
            transient=True,
        )
        self._bars.start()

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._began = time.monotonic()
        total = self.params["steps"]
        label = f"{self._name} epoch {epoch + 1}/{self.params['epochs']}"
        assert self._bars is not None
        self._task = self._bars.add_task(label, total=total)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        assert self._bars is not None
        self._bars.update(self._task, completed=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        assert self._bars is not None
        self._bars.remove_task(self._task)
        took = time.monotonic() - self._began
        self._console.print(
            f"      {self._name} epoch {epoch + 1}: {self._line(logs or {})} "
            f"[dim]({took:.1f} s)[/]"
        )

    def on_train_end(self, logs: Any = None) -> None:
        if self._bars is not None:
            self._bars.stop()
            self._bars = None
