"""Shows a fit's progress: a bar while it runs, a line of numbers per epoch."""

import time
from typing import Any

import keras
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars


class Progress(keras.callbacks.Callback):
    """A bar over the steps of each epoch, then the epoch's metrics in one line.

    Args:
        console: Where to show it.
        name: What is trained.
    """

    def __init__(self, console: Console, name: str) -> None:
        super().__init__()
        self._console, self._name = console, name

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
        self._task = self._bars.add_task(label, total=total)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._bars.update(self._task, completed=batch + 1)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self._bars.remove_task(self._task)
        numbers = ", ".join(f"{key} {value:.4f}" for key, value in (logs or {}).items())
        took = time.monotonic() - self._began
        self._console.print(
            f"      {self._name} epoch {epoch + 1}: {numbers} [dim]({took:.1f} s)[/]"
        )

    def on_train_end(self, logs: Any = None) -> None:
        self._bars.stop()
