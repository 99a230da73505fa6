"""Fashion Products: attribute words as searches, product photos and titles as items.

The source folder (a part of Kaggle's "Fashion Product Images") holds `items.csv` with
`id, gender, masterCategory, subCategory, articleType, baseColour, season, year, usage,
productDisplayName` and `images.zip` with `images/<id>.jpg`.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tfmm.datasets.picture_archive import read_pictures
from tfmm.datasets.search_set import SearchSet
from tfmm.datasets.source_table import read_rows
from tfmm.errors import TfmmError

ATTRIBUTES = (
    "gender",
    "baseColour",
    "articleType",
    "masterCategory",
    "subCategory",
    "season",
    "usage",
)
WORDS = ("gender", "baseColour", "articleType")


def load(
    source: str | Path,
    words: Sequence[str] = WORDS,
    test_fraction: float = 0.2,
    seed: int = 7,
) -> SearchSet:
    """Reads the data set: words such as "men navy blue shirts", and what answers them.

    Products are split, not searches: a test search is answered by test products alone,
    and by every test product that has all its attributes, so that most have several
    answers. Items whose photos are identical form one group and are never parted.

    Args:
        source: The source folder.
        words: The attributes whose values are a search's words, in this order.
        test_fraction: Share of the products that are for testing, about.
        seed: Of the split.

    Returns:
        9,583 items; 958 train and 528 test searches at the defaults.

    Raises:
        TfmmError: If a file is missing or damaged, or an attribute is unknown.
    """
    if not words or not set(words) <= set(ATTRIBUTES) or not 0 < test_fraction < 1:
        raise TfmmError(
            "`words` must name attributes and `test_fraction` lie between 0 and 1. "
            f"Received: words={tuple(words)}, test_fraction={test_fraction}. "
            f"The attributes are: {', '.join(ATTRIBUTES)}."
        )
    source = Path(source)
    rows = read_rows(source / "items.csv", ("id", "productDisplayName", *ATTRIBUTES))
    names = [f"images/{row['id']}.jpg" for row in rows]
    found = read_pictures(source / "images.zip", names)
    images = [found[name] for name in names]
    groups = group_identical(images)
    item_parts = _split([rows[group]["id"] for group in groups], test_fraction, seed)
    queries: dict[tuple[str, str], int] = {}
    pairs = []
    for item, (row, part) in enumerate(zip(rows, item_parts, strict=True)):
        values = [row[name] for name in words]
        if all(values):
            key = (part, " ".join(values).lower())
            pairs.append((queries.setdefault(key, len(queries)), item))
    return SearchSet(
        name="fashion_products",
        item_ids=[row["id"] for row in rows],
        titles=[row["productDisplayName"] for row in rows],
        item_images=images,
        groups=groups,
        attributes={name: [row[name] for row in rows] for name in ATTRIBUTES},
        query_words=[text for _, text in queries],
        query_images=[b""] * len(queries),
        parts=np.array([part for part, _ in queries]),
        pair_query=np.array([query for query, _ in pairs], np.int32),
        pair_item=np.array([item for _, item in pairs], np.int32),
    )


def convert(source: str | Path, folder: str | Path) -> Path:
    """Writes the data set as tables with a schema, see `SearchSet.convert`."""
    return load(source).convert(folder)


def group_identical(images: Sequence[bytes]) -> np.ndarray:
    """The first place of each identical content, int32 `[N]`.

    Example:
        >>> group_identical([b"a", b"b", b"a"]).tolist()
        [0, 1, 0]
    """
    first: dict[bytes, int] = {}
    places = [
        first.setdefault(hashlib.sha256(image).digest(), place)
        for place, image in enumerate(images)
    ]
    return np.array(places, np.int32)


def _split(products: Sequence[str], test_fraction: float, seed: int) -> list[str]:
    """By a hash of the product, so that no order or neighbour matters."""
    limit = test_fraction * 2**64
    parts = []
    for product in products:
        digest = hashlib.sha256(f"{seed}/{product}".encode()).digest()
        test = int.from_bytes(digest[:8], "big") < limit
        parts.append("test" if test else "train")
    return parts
