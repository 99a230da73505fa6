"""Outlines of the marketplace's product families, as polygons."""

import math
from typing import NamedTuple

import numpy as np


class Product(NamedTuple):
    """A family's outline; both axes run from -1 to 1, y upwards.

    Args:
        body: Polygons `[P, 2]` that carry colour and pattern.
        trim: Polygons `[P, 2]` in the accent colour, drawn on top.
    """

    body: list[np.ndarray]
    trim: list[np.ndarray]


def _points(*values: float) -> np.ndarray:
    return np.array(values, dtype=float).reshape(-1, 2)


def _box(left: float, low: float, right: float, high: float) -> np.ndarray:
    return _points(left, low, right, low, right, high, left, high)


def _arc(
    x: float, y: float, wide: float, high: float, start: float = 0, end: float = 360
) -> np.ndarray:
    angle = np.radians(np.linspace(start, end, 21))
    return np.stack([x + wide * np.cos(angle), y + high * np.sin(angle)], axis=1)


def _ring(
    x: float, y: float, radius: float, thick: float, start: float, end: float
) -> np.ndarray:
    inner = _arc(x, y, radius - thick, radius - thick, start, end)
    return np.concatenate([_arc(x, y, radius, radius, start, end), inner[::-1]])


def _round(points: np.ndarray) -> np.ndarray:
    """Cuts the corners off twice (Chaikin)."""
    for _ in range(2):
        after = np.roll(points, -1, axis=0)
        cut = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after])
        points = cut.transpose(1, 0, 2).reshape(-1, 2)
    return points


def _turned(angle: float, points: np.ndarray) -> np.ndarray:
    cos, sin = math.cos(angle), math.sin(angle)
    return points @ np.array([[cos, sin], [-sin, cos]])


def _products() -> dict[str, Product]:
    hand = _box(-0.04, 0.0, 0.04, 0.42)
    return {
        "mug": Product(
            [_round(_box(-0.75, -0.9, 0.4, 0.75))],
            [_ring(0.4, -0.05, 0.45, 0.16, -90, 90), _box(-0.72, 0.62, 0.37, 0.75)],
        ),
        "bottle": Product(
            [
                _round(_points(-0.42, -1, 0.42, -1, 0.42, 0.3, 0.16, 0.5, 0.16, 0.75,
                               -0.16, 0.75, -0.16, 0.5, -0.42, 0.3)),
            ],
            [_box(-0.2, 0.72, 0.2, 1.0)],
        ),
        "lamp": Product(
            [_points(-0.38, 0.95, 0.38, 0.95, 0.85, 0.0, -0.85, 0.0)],
            [_box(-0.07, -0.85, 0.07, 0.0), _box(-0.45, -1.0, 0.45, -0.83)],
        ),
        "chair": Product(
            [_round(_box(-0.6, -0.05, 0.6, 1.05)), _box(-0.72, -0.3, 0.72, 0.0)],
            [
                _box(-0.66, -1.0, -0.5, -0.3),
                _box(0.5, -1.0, 0.66, -0.3),
            ],
        ),
        "shirt": Product(
            [
                _points(-0.3, 0.9, 0.3, 0.9, 1.0, 0.5, 0.82, 0.05, 0.55, 0.2,
                        0.55, -0.95, -0.55, -0.95, -0.55, 0.2, -0.82, 0.05, -1.0, 0.5),
            ],
            [_arc(0, 0.9, 0.3, 0.26, 180, 360)],
        ),
        "bag": Product(
            [_points(-0.7, 0.3, 0.7, 0.3, 0.88, -0.95, -0.88, -0.95)],
            [_ring(0, 0.3, 0.48, 0.11, 0, 180), _box(-0.12, -0.02, 0.12, 0.16)],
        ),
        "vase": Product(
            [
                _round(_points(-0.3, -1, 0.3, -1, 0.72, -0.35, 0.6, 0.15, 0.2, 0.5,
                               0.34, 0.95, -0.34, 0.95, -0.2, 0.5, -0.6, 0.15,
                               -0.72, -0.35)),
            ],
            [_box(-0.34, 0.84, 0.34, 0.97)],
        ),
        "hat": Product(
            [_arc(0, -0.2, 0.62, 0.95, 0, 180), _arc(0, -0.35, 1.0, 0.26)],
            [_points(-0.62, -0.16, 0.62, -0.16, 0.6, 0.06, -0.6, 0.06)],
        ),
        "clock": Product(
            [_arc(0, 0, 0.92, 0.92)],
            [
                _ring(0, 0, 0.98, 0.13, 0, 360),
                _turned(-0.4, hand * [1.6, 1.5]),
                _turned(1.9, hand * [1.6, 1.1]),
            ],
        ),
        "cushion": Product(
            [
                _points(-0.95, -0.95, 0.0, -0.78, 0.95, -0.95, 0.78, 0.0,
                        0.95, 0.95, 0.0, 0.78, -0.95, 0.95, -0.78, 0.0),
            ],
            [_arc(x, y, 0.14, 0.14) for x in (-0.88, 0.88) for y in (-0.88, 0.88)]
            + [_arc(0, 0, 0.1, 0.1)],
        ),
        "boot": Product(
            [
                _points(-0.65, 0.95, 0.12, 0.95, 0.15, -0.05, 0.6, -0.25, 0.95, -0.5,
                        0.95, -0.8, -0.65, -0.8),
            ],
            [_box(-0.68, -0.98, 0.98, -0.8), _box(-0.68, 0.78, 0.15, 0.98)],
        ),
        "umbrella": Product(
            [_arc(0, 0.0, 1.0, 0.92, 0, 180)],
            [
                _box(-0.05, -0.8, 0.05, 0.0),
                _ring(0.16, -0.8, 0.21, 0.1, 180, 360),
                _box(-0.04, 0.9, 0.04, 1.05),
            ],
        ),
    }  # fmt: skip


PRODUCTS = tuple(_products().values())
"""In the order of `marketplace_words.SHAPES`."""
