"""Which of an item's media is its own."""

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


def promote(own: list[T], further: list[list[T]], usable: Sequence[bool]) -> int:
    """Puts an item's first further medium in the place of its own unusable one.

    What towers and embedding take for an item is its own medium.

    Args:
        own: Per item its own medium; changed in place.
        further: Per item the usable further ones; changed in place.
        usable: Per item, whether its own can be used.

    Returns:
        How many took the place.

    Example:
        >>> own, further = ["red hat", "", ""], [["chapeau"], ["shoe", "Schuh"], []]
        >>> promote(own, further, [True, False, False])
        1
        >>> own, further
        (['red hat', 'shoe', ''], [['chapeau'], ['Schuh'], []])
    """
    places = [i for i, others in enumerate(further) if others and not usable[i]]
    for place in places:
        own[place] = further[place].pop(0)
    return len(places)
