"""The same requests sent otherwise, which must not change an answer."""

from collections.abc import Iterator, Mapping

import numpy as np

from tfmm.export.warmup import Answered, Call

Arrays = Mapping[str, np.ndarray]
_MORE = 3


def alone(found: Answered) -> Iterator[Answered]:
    """Every request of a call as a call of its own."""
    for row in range(rows_of(found.call)):
        place = slice(row, row + 1)
        yield _taken(found, place)


def reversed_order(found: Answered) -> Answered:
    """The requests of a call in the opposite order."""
    return _taken(found, slice(None, None, -1))


def first_half(found: Answered) -> Answered:
    """The first half of a call's requests, one of them at least."""
    return _taken(found, slice(max(1, rows_of(found.call) // 2)))


def padded(found: Answered) -> Answered | None:
    """Further columns beyond the counts, of values that stand elsewhere in the call.

    Returns:
        The call with the answers as they were; None where the signature has no counts.
    """
    inputs = found.call.inputs
    counts = {name for name in ("n_items", "n_history", "n_new") if name in inputs}
    if not counts:
        return None
    wide = {}
    for name, values in inputs.items():
        count = count_of(name)
        wide[name] = values if count not in counts else _wider(values)
    return Answered(Call(found.call.signature, wide), found.outputs)


def count_of(name: str) -> str | None:
    """Which count says how much of an input is real.

    Example:
        >>> [count_of(n) for n in ("history_type", "candidate_price", "user_key")]
        ['n_history', 'n_items', None]
    """
    if name.startswith("history_"):
        return "n_history"
    if name.startswith("new_"):
        return "n_new"
    listed = name in ("item_id", "item", "base_score") or name.startswith("candidate_")
    return "n_items" if listed else None


def rows_of(call: Call) -> int:
    """How many requests a call has."""
    return len(next(iter(call.inputs.values()), ()))


def cut_to(outputs: Arrays, expected: Arrays) -> dict[str, np.ndarray]:
    """Outputs of a wider or a narrower call, as far as both have columns."""
    found = {}
    for name, right in expected.items():
        left = outputs[name]
        if left.ndim > 1 and right.ndim == left.ndim:
            left = left[:, : right.shape[1]]
        found[name] = left
    return found


def _taken(found: Answered, place: slice) -> Answered:
    inputs = {name: values[place] for name, values in found.call.inputs.items()}
    outputs = {name: values[place] for name, values in found.outputs.items()}
    return Answered(Call(found.call.signature, inputs), outputs)


def _wider(values: np.ndarray) -> np.ndarray:
    if values.ndim < 2 or not values.size:
        return values
    junk = np.repeat(values[::-1, :1], _MORE, axis=1)
    return np.concatenate([values, junk], axis=1)
