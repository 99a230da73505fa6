"""Where pairs come from: searches, clicks and the items themselves."""

from collections.abc import Mapping, Sequence

from tfmm.errors import TfmmError

# A pair record's `source` is the place of its name here.
SOURCES = ("search", "clicked", "item")
SEARCH, CLICKED, ITEM = range(3)
# What a query can consist of.
QUERIES = ("image", "text")
# What towers can compare: the query's medium with the item's photo or title.
DIRECTIONS = ("image->image", "image->text", "text->image", "text->text")

SourceCounts = Mapping[str, Mapping[str, int]]


def check_sources(names: Sequence[str]) -> tuple[str, ...]:
    """The names in the order of `SOURCES`.

    * `search`: the words and the picture of a search -> the item bought in it
    * `clicked`: an item clicked in a search -> the item bought in it
    * `item`: an item -> itself, e.g. its title -> its photo

    Args:
        names: Some of `SOURCES`, each once.

    Raises:
        TfmmError: If there is none, an unknown one, or one twice.

    Example:
        >>> check_sources(["item", "search"])
        ('search', 'item')
    """
    given = [names] if isinstance(names, str) else list(names)
    if not given or set(given) - set(SOURCES) or len(set(given)) < len(given):
        raise TfmmError(
            f"`sources` are some of {', '.join(SOURCES)}, each once. Received: "
            f"{given}. Name at least one of them."
        )
    return tuple(name for name in SOURCES if name in given)


def describe(counts: SourceCounts) -> str:
    """How many pairs each source gave, by what a task can compare in them.

    Where the items' media were unknown, by what the queries consist of.

    Args:
        counts: `sources` of a manifest of pairs.

    Example:
        >>> describe({"search": {"pairs": 1200, "image": 0, "text": 1200,
        ...                      "image->image": 0, "text->image": 1150}})
        'pairs: search 1,200 (text->image 1,150)'
        >>> describe({"search": {"pairs": 1200, "image": 400, "text": 1200}})
        'pairs: search 1,200 (image 400, text 1,200)'
    """
    parts = [f"{name} {n['pairs']:,} ({_contents(n)})" for name, n in counts.items()]
    return f"pairs: {'; '.join(parts)}"


def _contents(found: Mapping[str, int]) -> str:
    directions = [name for name in DIRECTIONS if name in found]
    names = [name for name in directions if found[name]] if directions else QUERIES
    return ", ".join(f"{name} {found[name]:,}" for name in names) or "no media in both"
