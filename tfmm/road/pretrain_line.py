"""One line about an epoch of pre-training: what tells whether it goes well."""

from collections.abc import Mapping

from tfmm.pretrain.collapse import Collapse


def pretrain_line(logs: Mapping[str, float]) -> str:
    """Loss, and per task Acc@1, Acc@5 and tau; a warning if a task collapses.

    Several tasks have a line each.

    Args:
        logs: The metrics of an epoch of `SCL.fit` with its monitors.

    Example:
        >>> pretrain_line({"loss": 2.5, "val_loss": 2.25, "val_text_acc@1": 0.5,
        ...                "val_text_acc@5": 0.75, "text_temperature": 0.0625})
        'loss 2.500, test 2.250; text Acc@1 0.500, Acc@5 0.750, tau 0.0625'
    """
    losses = [f"loss {logs['loss']:.3f}"] if "loss" in logs else []
    losses += [f"test {logs['val_loss']:.3f}"] if "val_loss" in logs else []
    ends = "_temperature"
    tasks = [name.removesuffix(ends) for name in logs if name.endswith(ends)]
    parts = [", ".join(losses), *(_task(name, logs) for name in tasks)]
    between = "; " if len(tasks) < 2 else "\n        "
    line = between.join(part for part in parts if part)
    collapsed = [name for name in tasks if _collapsed(name, logs)]
    if collapsed:
        line += (
            f"\n      [red]{', '.join(collapsed)} collapses[/]: all vectors are nearly "
            "the same. Lower `learning_rate`, raise `momentum`, `bank_start` or "
            "`temperature`, or set `bank_size: 0`."
        )
    return line


def _task(name: str, logs: Mapping[str, float]) -> str:
    numbers = [
        f"Acc@{n} {logs[f'val_{name}_acc@{n}']:.3f}"
        for n in (1, 5)
        if f"val_{name}_acc@{n}" in logs
    ]
    numbers.append(f"tau {logs[f'{name}_temperature']:.4f}")
    return f"{name} {', '.join(numbers)}"


def _collapsed(name: str, logs: Mapping[str, float]) -> bool:
    numbers = [
        logs.get(f"val_{name}_{what}") for what in ("std", "uniformity", "distinct")
    ]
    return None not in numbers and Collapse(*map(float, numbers)).collapsed  # type: ignore[arg-type]
