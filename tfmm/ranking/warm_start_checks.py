"""Which models cannot start from each other, and why."""

from typing import Any

import numpy as np
from keras import ops

from tfmm.errors import TfmmError

# What may differ: sizes (they are the point), and what no weight depends on.
_FREE = ("name", "vocabularies", "catalog", "recent", "loss", "label")
# Names number the layers of a process; they say nothing of what a layer is.
_NAMES = ("name", "build_config", "compile_config")


def check_alike(new: Any, old: Any) -> None:
    """Refuses models whose weights do not correspond.

    Args:
        new: The new model, a `RankingModel` or a `MAKE`.
        old: The trained one.

    Raises:
        TfmmError: Another kind of model, other vectors, features or settings.
    """
    if type(new) is not type(old):
        raise TfmmError(
            "A model starts from one of its own kind. Received: "
            f"{type(new).__name__} from {type(old).__name__}."
        )
    _check_vectors(new, old)
    if hasattr(new, "spec"):
        _check_features(new.spec, old.spec)
    mine, theirs = _settings(new), _settings(old)
    if mine != theirs:
        where, given, expected = _difference(mine, theirs)
        raise TfmmError(
            "The new model is built otherwise, so the old weights do not fit it. "
            f"Received: {where}={_said(given)}, the old model has {_said(expected)}. "
            "Build it with the old settings, or train from scratch."
        )


def _check_vectors(new: Any, old: Any) -> None:
    mine, theirs = (getattr(m.shapes, "vectors", m.shapes) for m in (new, old))
    if mine.fingerprint != theirs.fingerprint:
        raise TfmmError(
            "The old weights were trained on another encoder's vectors. Received: a "
            f"catalog of fingerprint {mine.fingerprint}, the old model's has "
            f"{theirs.fingerprint}. Embed the new items with the encoder of the old "
            "catalog, or train from scratch on the new one."
        )
    if mine.modalities != theirs.modalities:
        raise TfmmError(
            "The old weights were trained on other modalities. Received: "
            f"{mine.modalities}, the old model has {theirs.modalities}. Use the same "
            "ones in the same order, or train from scratch."
        )


def _check_features(new: Any, old: Any) -> None:
    mine, theirs = ([(f.tensor, f.kind) for f in s.features] for s in (new, old))
    if mine != theirs:
        raise TfmmError(
            "Features were added, removed or reordered: each has its own columns in "
            "the tower's first layer, and all that was learnt after it belongs to "
            f"them together. Received: {[name for name, _ in mine]}, the old model "
            f"has {[name for name, _ in theirs]}. Keep the schema's features, or train "
            "from scratch."
        )


def check_vocabularies(ranker: Any, vocabularies: Any, which: str) -> None:
    """Refuses vocabularies that a ranker was not built from.

    Args:
        ranker: The `RankingModel`.
        vocabularies: Its vocabularies.
        which: `"old"` or `"new"`, for the message.

    Raises:
        TfmmError: Other sizes, or other items in the rows.
    """
    rows = vocabularies.items.embedding_row
    own = ops.convert_to_numpy(ranker.items.codes)[: len(rows), 0]
    if ranker.spec != vocabularies.spec or not np.array_equal(own, rows):
        raise TfmmError(
            f"The {which} ranker was not built from the {which} vocabularies: its rows "
            f"would be taken for other ids. Received: vocabularies of "
            f"{vocabularies.spec.users} users and {vocabularies.spec.items} items, a "
            f"ranker of {ranker.spec.users} and {ranker.spec.items}. Give each ranker "
            "the vocabularies of its own day."
        )


def _settings(model: Any) -> dict[str, Any]:
    config = model.get_config()
    return {k: _nameless(v) for k, v in config.items() if k not in _FREE}


def _nameless(part: Any) -> Any:
    """A serialised layer without what differs between two alike ones."""
    if isinstance(part, dict):
        return {k: _nameless(v) for k, v in part.items() if k not in _NAMES}
    if isinstance(part, (list, tuple)):
        return [_nameless(entry) for entry in part]
    return part


def _difference(mine: Any, theirs: Any, where: str = "") -> tuple[str, Any, Any]:
    """Where two settings first differ, and the two values there."""
    dicts = isinstance(mine, dict) and isinstance(theirs, dict)
    if dicts and [*mine] == [*theirs]:
        for key in mine:
            if mine[key] != theirs[key]:
                return _difference(mine[key], theirs[key], f"{where}.{key}")
    lists = isinstance(mine, list) and isinstance(theirs, list)
    if lists and len(mine) == len(theirs):
        for place, (a, b) in enumerate(zip(mine, theirs, strict=True)):
            if a != b and isinstance(a, dict):
                return _difference(a, b, f"{where}[{place}]")
    return where.lstrip("."), mine, theirs


def _said(value: Any) -> str:
    """A value; of a serialised layer its class alone."""
    if isinstance(value, list):
        return f"[{', '.join(map(_said, value))}]"
    if isinstance(value, dict) and "class_name" in value:
        return str(value["class_name"])
    return repr(value)
