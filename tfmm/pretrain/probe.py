"""What vectors know of an attribute that nobody trained them on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tfmm.errors import TfmmError
from tfmm.pretrain.collapse import nearest_places


@dataclass(frozen=True)
class Probe:
    """How well an attribute is read off the vectors, and what guessing gives.

    Attributes:
        attribute: Its name.
        accuracy: Of the vectors.
        chance: Of guessing values as often as they occur: `sum_v p_v^2`.
        majority: Of always guessing the most frequent value.
        items: How many items have a vector and a value.
        values: How many different values they have.
    """

    attribute: str
    accuracy: float
    chance: float
    majority: float
    items: int
    values: int

    def __str__(self) -> str:
        return (
            f"{self.attribute}: {self.accuracy:.4f} (chance {self.chance:.4f}, "
            f"majority {self.majority:.4f}; {self.items:,} items, "
            f"{self.values} values)"
        )


def neighbour_probe(
    vectors: ArrayLike,
    labels: Sequence[str | None],
    k: int = 1,
    attribute: str = "attribute",
    groups: ArrayLike | None = None,
) -> Probe:
    """Share of an item's k nearest neighbours that have its value, averaged.

    Leave-one-out: an item is no neighbour of itself, nor is any item of its group.
    Nothing is trained. Items without a value take no part.

    `accuracy = (1 / n) sum_i (1 / k) |{j in kNN(i): y_j = y_i}|`

    Args:
        vectors: float `[N, d]`, L2-normalised.
        labels: N values; `None` and `""` mean unknown.
        k: How many neighbours.
        attribute: Its name, for the report.
        groups: int `[N]`; items of one group (e.g. of identical photos) are not each
            other's neighbours.

    Raises:
        TfmmError: If numbers disagree, or fewer than two items have a value.

    Example:
        >>> vectors = np.array([[1, 0], [1, 0], [0, 1], [0, 1]])
        >>> print(neighbour_probe(vectors, ["red", "red", "blue", "green"]))
        attribute: 0.5000 (chance 0.3750, majority 0.5000; 4 items, 3 values)
    """
    matrix, values, kept = _labelled(vectors, labels, attribute)
    groups = np.arange(len(labels)) if groups is None else np.asarray(groups)
    if groups.shape != (len(labels),) or k < 1:
        raise TfmmError(
            f"`groups` must be one a vector and k at least 1. Received: "
            f"{groups.shape}, k={k}. Pass the rows of the vectors."
        )
    own = groups[kept]
    # So many are left out at most that k others are always found.
    crowd = int(np.unique(own, return_counts=True)[1].max())
    near = nearest_places(matrix, matrix, k + crowd)
    shares = []
    for row, places in enumerate(near):
        others = places[own[places] != own[row]][:k]
        if len(others):
            shares.append(np.mean(values[others] == values[row]))
    if not shares:
        raise _too_few(attribute, len(values))
    return _probe(attribute, float(np.mean(shares)), values)


def zero_shot_probe(
    vectors: ArrayLike,
    labels: Sequence[str | None],
    prompts: Mapping[str, ArrayLike],
    attribute: str = "attribute",
) -> Probe:
    """Share of items that are nearest to the words of their own value.

    For items and words that share one space. Ties count as a share of the values that
    tie, so that a collapsed tower gains nothing.

    Args:
        vectors: float `[N, d]`, L2-normalised.
        labels: N values; `None` and `""` mean unknown.
        prompts: Value -> float `[d]` or `[P, d]`, its words' vectors, e.g. of "a red
            thing"; several are averaged. Every value that occurs needs one.
        attribute: Its name, for the report.

    Raises:
        TfmmError: If numbers disagree, a value has no words, or fewer than two items
            have a value.

    Example:
        >>> words = {"red": [1, 0], "blue": [0, 1]}
        >>> vectors = np.array([[0.8, 0.6], [0.6, 0.8]])
        >>> zero_shot_probe(vectors, ["red", "red"], words).accuracy
        0.5
    """
    matrix, values, _ = _labelled(vectors, labels, attribute)
    names = list(prompts)
    if missing := sorted(set(values.tolist()) - set(names)):
        raise TfmmError(
            f"Every value of {attribute!r} needs words. Received: none for "
            f"{', '.join(missing[:5])}. Embed a prompt for each value."
        )
    words = [np.atleast_2d(np.asarray(prompts[name], float)) for name in names]
    if any(word.shape[1] != matrix.shape[1] for word in words):
        raise TfmmError(
            "Items and words must share one space. Received: items of dimension "
            f"{matrix.shape[1]}, words of {words[0].shape[1]}. "
            "Train a task such as text->image first."
        )
    centres = np.stack([word.mean(axis=0) for word in words])
    norms = np.linalg.norm(centres, axis=1, keepdims=True)
    scores = matrix @ (centres / np.maximum(norms, 1e-12)).T
    own = scores[np.arange(len(values)), [names.index(v) for v in values]]
    best = scores.max(axis=1)
    ties = (scores >= best[:, None] - 1e-6).sum(axis=1)
    right = np.where(own >= best - 1e-6, 1 / ties, 0.0)
    return _probe(attribute, float(right.mean()), values)


def probe_catalog(
    catalog: Any,
    ids: Sequence[str],
    attributes: Mapping[str, Sequence[str | None]],
    modality: str,
    k: int = 1,
) -> list[Probe]:
    """`neighbour_probe` of several columns of an items table.

    Args:
        catalog: The `Catalog`.
        ids: N raw ids, the table's id column.
        attributes: Name -> N values, columns of the table.
        modality: Which vectors.
        k: How many neighbours.

    Returns:
        One `Probe` an attribute, over the items with a vector.

    Example:
        >>> from tfmm.catalog import Catalog
        >>> catalog = Catalog.from_vectors(
        ...     ["a", "b", "c"], [[1, 0], [1, 0], [0, 1]], name="toy", version="1")
        >>> kinds = {"kind": ["hat", "hat", "shoe"]}
        >>> probe_catalog(catalog, ["a", "b", "c"], kinds, "vector")[0].accuracy
        0.6666666666666666
    """
    for name, column in attributes.items():
        if len(column) != len(ids):
            raise TfmmError(
                f"Each item needs one value of {name!r}. Received: {len(column)} "
                f"values for {len(ids)} ids. Pass columns of one table."
            )
    rows = catalog.index.rows_of([str(one) for one in ids])
    vectors = catalog.vectors(modality)[rows]
    there = np.flatnonzero(catalog.modalities[modality].present[rows])
    return [
        neighbour_probe(vectors[there], [column[i] for i in there.tolist()], k, name)
        for name, column in attributes.items()
    ]


def _labelled(
    vectors: ArrayLike, labels: Sequence[str | None], attribute: str
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    matrix = np.asarray(vectors, np.float32)
    if matrix.ndim != 2 or len(matrix) != len(labels):
        raise TfmmError(
            f"Expected vectors [N, d] and N values of {attribute!r}. Received: shape "
            f"{matrix.shape} and {len(labels)} values. Give each vector its value."
        )
    kept = np.flatnonzero([label is not None and str(label) != "" for label in labels])
    if len(kept) < 2:
        raise _too_few(attribute, len(kept))
    return matrix[kept], np.array([str(labels[i]) for i in kept.tolist()]), kept


def _probe(attribute: str, accuracy: float, values: np.ndarray) -> Probe:
    shares = np.unique(values, return_counts=True)[1] / len(values)
    return Probe(
        attribute,
        accuracy,
        float((shares**2).sum()),
        float(shares.max()),
        len(values),
        len(shares),
    )


def _too_few(attribute: str, count: int) -> TfmmError:
    return TfmmError(
        f"A probe needs at least two items with a value of {attribute!r}. Received: "
        f"{count}. Check the column's name."
    )
