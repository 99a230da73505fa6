"""The marketplace's words: attribute values, their synonyms, titles, search words."""

import numpy as np

SHAPES: dict[str, tuple[str, ...]] = {
    "mug": ("mug", "cup", "tumbler"),
    "bottle": ("bottle", "flask", "canteen"),
    "lamp": ("lamp", "light", "lantern"),
    "chair": ("chair", "seat", "stool"),
    "shirt": ("shirt", "tee", "top"),
    "bag": ("bag", "tote", "handbag"),
    "vase": ("vase", "urn", "pot"),
    "hat": ("hat", "cap", "bowler"),
    "clock": ("clock", "timepiece", "alarm"),
    "cushion": ("cushion", "pillow", "throw"),
    "boot": ("boot", "shoe", "ankle boot"),
    "umbrella": ("umbrella", "parasol", "brolly"),
}
COLOURS: dict[str, tuple[str, ...]] = {
    "red": ("red", "crimson", "scarlet"),
    "orange": ("orange", "tangerine", "apricot"),
    "yellow": ("yellow", "lemon", "mustard"),
    "green": ("green", "emerald", "olive"),
    "teal": ("teal", "turquoise", "aqua"),
    "blue": ("blue", "navy", "cobalt"),
    "purple": ("purple", "violet", "plum"),
    "pink": ("pink", "rose", "fuchsia"),
    "brown": ("brown", "chocolate", "tan"),
    "grey": ("grey", "silver", "slate"),
}
PATTERNS: dict[str, tuple[str, ...]] = {
    "plain": ("plain", "solid", "unpatterned"),
    "stripes": ("striped", "stripes", "banded"),
    "dots": ("dotted", "polka dot", "spotted"),
    "checks": ("checked", "plaid", "chequered"),
    "diagonal": ("diagonal", "slanted", "candy stripe"),
    "zigzag": ("zigzag", "chevron", "wavy"),
}
STYLES: dict[str, tuple[str, ...]] = {
    "slim": ("slim", "narrow", "tall"),
    "regular": ("regular", "classic", "standard"),
    "wide": ("wide", "broad", "roomy"),
}
ATTRIBUTES = (SHAPES, COLOURS, PATTERNS, STYLES)
"""In the order of the attribute columns: shape, colour, pattern, style."""

BRANDS = tuple(
    first + last
    for first in ("Alo", "Bren", "Cal", "Dor", "Elm", "Fjo", "Gran", "Hul")
    for last in ("via", "mont", "dale", "ek", "ora")
)
_NOISE = (
    "new", "original", "premium", "gift", "sale", "home", "everyday", "best",
    "handmade", "eco", "limited edition", "free delivery", "bestseller", "2024",
)  # fmt: skip
_SEARCH_NOISE = ("buy", "cheap", "nice", "for home", "gift", "a", "best")


def titles(
    rng: np.random.Generator, attributes: np.ndarray, brand: np.ndarray
) -> list[str]:
    """Titles of items, for example "Elmora striped navy cup gift".

    A fifth of the fine words are left out, and every word is one of its synonyms, so
    that neither title nor picture alone tells everything.

    Args:
        attributes: int `[I, 4]`: shape, colour, pattern, style.
        brand: int `[I]`.

    Returns:
        list of `I` strings.
    """
    count = len(attributes)
    synonym = rng.integers(3, size=(count, 4))
    said = rng.random((count, 4)) < np.array([1.0, 0.85, 0.8, 0.6])
    style_first = rng.random(count) < 0.5
    noise = rng.integers(len(_NOISE), size=(count, 2))
    noises = rng.integers(3, size=count)
    result = []
    for i in range(count):
        words = _words(attributes[i], synonym[i], said[i])
        order = (3, 1, 2, 0) if style_first[i] else (2, 1, 0, 3)
        parts = [BRANDS[brand[i]], *(words[a] for a in order if words[a])]
        parts += [_NOISE[n] for n in noise[i, : noises[i]]]
        result.append(" ".join(parts))
    return result


def search_words(rng: np.random.Generator, attributes: np.ndarray) -> list[str]:
    """What shoppers type to find items, for example "cheap crimson spotted flask".

    Args:
        attributes: int `[Q, 4]`: shape, colour, pattern, style of the item in mind.
    """
    count = len(attributes)
    synonym = rng.integers(3, size=(count, 4))
    said = rng.random((count, 4)) < np.array([0.95, 0.9, 0.85, 0.5])
    order = rng.permuted(np.tile(np.arange(4), (count, 1)), axis=1)
    noise = rng.integers(len(_SEARCH_NOISE), size=count)
    noisy = rng.random(count) < 0.3
    result = []
    for i in range(count):
        words = _words(attributes[i], synonym[i], said[i])
        parts = [words[a] for a in order[i] if words[a]]
        if noisy[i] or not parts:
            parts.insert(0, _SEARCH_NOISE[noise[i]])
        result.append(" ".join(parts))
    return result


def _words(values: np.ndarray, synonym: np.ndarray, said: np.ndarray) -> list[str]:
    return [
        _TABLES[a][values[a]][synonym[a]] if said[a] else ""
        for a in range(len(_TABLES))
    ]


_TABLES = [tuple(table.values()) for table in ATTRIBUTES]
