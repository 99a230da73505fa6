"""Union-find: which numbers belong together, from pairs that do."""


class DisjointSets:
    """Numbers below a size, each a set of its own until it is joined to another.

    Args:
        size: How many numbers.

    Example:
        >>> sets = DisjointSets(4)
        >>> sets.join(3, 1)
        >>> [sets.root(number) for number in range(4)]
        [0, 1, 2, 1]
    """

    def __init__(self, size: int) -> None:
        self._parent = list(range(size))

    def root(self, number: int) -> int:
        """The smallest number of the set."""
        parent = self._parent
        while parent[number] != number:
            parent[number] = parent[parent[number]]
            number = parent[number]
        return number

    def join(self, one: int, other: int) -> None:
        """Makes one set of two numbers' sets."""
        one, other = self.root(one), self.root(other)
        self._parent[max(one, other)] = min(one, other)
