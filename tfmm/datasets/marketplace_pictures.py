"""Pictures of the marketplace's products, drawn from their attributes."""

import dataclasses
import io
import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from tfmm.datasets.marketplace_shapes import PRODUCTS

ACCENTS = ((32, 30, 34), (250, 248, 240), (212, 168, 50), (24, 36, 90), (120, 30, 40))
_COLOURS = np.array(
    [
        (205, 38, 38), (240, 130, 30), (242, 208, 50), (50, 150, 62), (30, 165, 165),
        (40, 84, 200), (125, 55, 165), (240, 125, 175), (125, 78, 45), (140, 144, 150),
    ]
)  # fmt: skip
_WIDTHS = (0.72, 1.0, 1.32)
_OVERSAMPLING = 2


@dataclasses.dataclass(frozen=True)
class View:
    """How a product is photographed.

    Args:
        angle: Rotation, radians.
        scale: Half the product's height as a share of half the picture's.
        shift: Of the product's centre, in halves of the picture.
        background: Two RGB colours of the background's gradient.
        light: Factor on each of the RGB channels.
        shadow: Whether the product stands on a shadow.
        quality: Of the JPEG, 1 to 95.
    """

    angle: float
    scale: float
    shift: tuple[float, float]
    background: tuple[tuple[int, int, int], tuple[int, int, int]]
    light: tuple[float, float, float]
    shadow: bool
    quality: int


def shop_view(rng: np.random.Generator) -> View:
    """The shop's own picture: upright, in full, on a light background."""
    grey = int(rng.integers(226, 250))
    light = float(rng.uniform(0.95, 1.05))
    return View(
        angle=float(rng.normal(0, 0.05)),
        scale=float(rng.uniform(0.76, 0.86)),
        shift=_pair(rng, 0.04),
        background=((255, 255, 255), (grey, grey, grey)),
        light=(light, light, light),
        shadow=True,
        quality=88,
    )


def shopper_view(rng: np.random.Generator) -> View:
    """A shopper's own picture: tilted, smaller, off centre, anywhere, in any light."""
    near, far = (tuple(int(c) for c in rng.integers(90, 250, size=3)) for _ in "ab")
    brightness = rng.uniform(0.75, 1.15)
    tint = rng.uniform(0.93, 1.07, size=3)
    return View(
        angle=float(rng.normal(0, 0.35)),
        scale=float(rng.uniform(0.55, 0.9)),
        shift=_pair(rng, 0.16),
        background=(near, far),  # type: ignore[arg-type]
        light=tuple(float(t * brightness) for t in tint),  # type: ignore[arg-type]
        shadow=bool(rng.random() < 0.3),
        quality=int(rng.integers(60, 90)),
    )


def draw(
    attributes: Sequence[int],
    accent: int,
    tone: Sequence[int],
    view: View,
    size: int,
) -> bytes:
    """Draws a product.

    Args:
        attributes: Shape, colour, pattern, style.
        accent: Number of the colour of handles, lids and seams.
        tone: RGB offset that makes the product's colour its own.
        view: How it is photographed.
        size: Side of the picture, pixels.

    Returns:
        JPEG bytes, RGB.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> draw([0, 3, 1, 2], 0, (0, 0, 0), shop_view(rng), 32)[:2]
        b'\\xff\\xd8'
    """
    shape, colour, pattern, style = (int(a) for a in attributes)
    canvas = size * _OVERSAMPLING
    place = _Place(view, _WIDTHS[style], canvas)
    main = tuple(int(c) for c in np.clip(_COLOURS[colour] + np.asarray(tone), 0, 255))
    trim_colour = ACCENTS[accent]
    outline = tuple(c // 3 for c in main)

    picture = _background(view, canvas)
    if view.shadow:
        _shadow(picture, view, canvas)
    mask = Image.new("L", (canvas, canvas))
    mask_pen = ImageDraw.Draw(mask)
    body = [place(part) for part in PRODUCTS[shape].body]
    for points in body:
        mask_pen.polygon(points, fill=255)
    picture.paste(_cloth(pattern, main, place, canvas), (0, 0), mask)
    pen = ImageDraw.Draw(picture)
    for points in body:
        pen.line([*points, points[0]], fill=outline, width=_OVERSAMPLING)
    for part in PRODUCTS[shape].trim:
        pen.polygon(place(part), fill=trim_colour, outline=outline)

    picture = picture.reduce(_OVERSAMPLING)
    table = [min(255, int(v * factor)) for factor in view.light for v in range(256)]
    out = io.BytesIO()
    picture.point(table).save(out, "JPEG", quality=view.quality)
    return out.getvalue()


class _Place:
    """Maps points of a product, both axes -1 to 1 with y up, to the canvas."""

    def __init__(self, view: View, width: float, canvas: int) -> None:
        cos, sin = math.cos(view.angle), math.sin(view.angle)
        half = canvas / 2
        self.unit = half * view.scale
        # Wide products are lower, so that all fit the picture.
        x, y = self.unit * min(width, 1.12), self.unit * min(1.0, 1.05 / width)
        self._matrix = np.array([[x * cos, -y * sin], [-x * sin, -y * cos]])
        self._centre = np.array(
            [half * (1 + view.shift[0]), half * (1 + view.shift[1])]
        )

    def __call__(self, points: np.ndarray) -> list[tuple[float, float]]:
        moved = points @ self._matrix.T + self._centre
        return list(map(tuple, moved.tolist()))


def _cloth(
    pattern: int, main: tuple[int, ...], place: _Place, canvas: int
) -> Image.Image:
    bright = sum(main) > 430
    second = tuple(int(c * 0.42) if bright else c + (255 - c) * 3 // 4 for c in main)
    cloth = Image.new("RGB", (canvas, canvas), main)
    pen = ImageDraw.Draw(cloth)
    for part in _PATTERNS[pattern]:
        pen.polygon(place(part), fill=second)
    return cloth


def _background(view: View, canvas: int) -> Image.Image:
    near, far = (Image.new("RGB", (canvas, canvas), c) for c in view.background)
    ramp = Image.linear_gradient("L").resize((canvas, canvas))
    return Image.composite(far, near, ramp)


def _shadow(picture: Image.Image, view: View, canvas: int) -> None:
    half = canvas / 2
    x, y = half * (1 + view.shift[0]), half * (1 + view.shift[1] + view.scale * 0.95)
    wide, high = half * view.scale * 0.75, half * view.scale * 0.1
    colour = tuple(c * 3 // 4 for c in view.background[1])
    ImageDraw.Draw(picture).ellipse((x - wide, y - high, x + wide, y + high), colour)


def _pair(rng: np.random.Generator, spread: float) -> tuple[float, float]:
    x, y = rng.uniform(-spread, spread, size=2)
    return float(x), float(y)


def _dot(x: float, y: float, radius: float) -> np.ndarray:
    angle = np.arange(10) * (2 * math.pi / 10)
    return np.stack([x + radius * np.cos(angle), y + radius * np.sin(angle)], axis=1)


def _zigzag(y: float) -> np.ndarray:
    x = np.linspace(-1.2, 1.2, 13)
    edge = y + 0.1 * (np.arange(13) % 2)
    low = np.stack([x, edge], axis=1)
    return np.concatenate([low, (low + np.array([0, 0.13]))[::-1]])


def _patterns() -> list[list[np.ndarray]]:
    steps = np.arange(-1.2, 1.2, 0.36)
    bar = np.array([[0, -1.5], [0.16, -1.5], [0.16, 1.5], [0, 1.5]])
    tile = np.array([[0, 0], [0.24, 0], [0.24, 0.24], [0, 0.24]])
    lean = np.array([[0.0, 1.0], [1.0, 0.9]])
    grid = np.arange(-1.2, 1.2, 0.24)
    return [
        [],
        [bar[:, ::-1] + np.array([0, y]) for y in steps],
        [
            _dot(x + 0.17 * (row % 2), y, 0.095)
            for row, y in enumerate(np.arange(-1.1, 1.2, 0.3))
            for x in np.arange(-1.1, 1.2, 0.34)
        ],
        [
            tile + np.array([x, y])
            for row, y in enumerate(grid)
            for column, x in enumerate(grid)
            if (row + column) % 2
        ],
        [bar @ lean + np.array([x, 0]) for x in np.arange(-2.6, 2.6, 0.44)],
        [_zigzag(y) for y in np.arange(-1.2, 1.2, 0.38)],
    ]  # fmt: skip


_PATTERNS = _patterns()
