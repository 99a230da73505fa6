"""Grocery Store: shoppers' photos, and the products that they show.

The source folder (github.com/marcusklasson/GroceryStoreDataset) holds `classes.csv`,
`train.txt`, `val.txt`, `test.txt`, `descriptions.json` (path -> text) and `images.zip`.

Reference: Klasson, Zhang, Kjellström, A Hierarchical Grocery Store Image Dataset with
Visual and Semantic Labels, WACV 2019.
"""

import json
from pathlib import Path

import numpy as np

from tfmm.datasets.picture_archive import read_pictures
from tfmm.datasets.search_set import SearchSet
from tfmm.datasets.source_table import read_rows, read_text
from tfmm.errors import TfmmError

_PARTS = {"train": "train", "val": "validation", "test": "test"}


def load(source: str | Path) -> SearchSet:
    """Reads the data set: photos taken in shops as queries, 81 products as items.

    An item is a product with its clean picture; its title is its name and description,
    its attribute `coarse` the kind of product (43 of them). Every photo is a search by
    picture that one product answers; the parts are the published ones.

    Args:
        source: The source folder.

    Returns:
        81 items; 2,640 train, 296 validation and 2,485 test searches.

    Raises:
        TfmmError: If a file is missing, damaged or of another form.
    """
    source = Path(source)
    classes = read_rows(
        source / "classes.csv",
        (
            "Class Name (str)",
            "Coarse Class Name (str)",
            "Iconic Image Path (str)",
            "Product Description Path (str)",
        ),
    )
    names = [_spaced(row["Class Name (str)"]) for row in classes]
    icons = [row["Iconic Image Path (str)"].lstrip("/") for row in classes]
    texts = _descriptions(source / "descriptions.json")
    about = [row["Product Description Path (str)"].lstrip("/") for row in classes]
    photos, items, parts = _photos(source, len(classes))
    pictures = read_pictures(source / "images.zip", [*icons, *photos])
    return SearchSet(
        name="grocery_store",
        item_ids=[row["Class Name (str)"] for row in classes],
        titles=[
            f"{name}. {texts.get(path, '')}".strip()
            for name, path in zip(names, about, strict=True)
        ],
        item_images=[pictures[icon] for icon in icons],
        groups=np.arange(len(classes), dtype=np.int32),
        attributes={
            "coarse": [_spaced(row["Coarse Class Name (str)"]) for row in classes],
            "department": [icon.split("/")[1] for icon in icons],
        },
        query_words=[""] * len(photos),
        query_images=[pictures[photo] for photo in photos],
        parts=np.array(parts),
        pair_query=np.arange(len(photos), dtype=np.int32),
        pair_item=np.array(items, np.int32),
    )


def convert(source: str | Path, folder: str | Path) -> Path:
    """Writes the data set as tables with a schema, see `SearchSet.convert`."""
    return load(source).convert(folder)


def _photos(source: Path, classes: int) -> tuple[list[str], list[int], list[str]]:
    photos, items, parts = [], [], []
    for file, part in _PARTS.items():
        path = source / f"{file}.txt"
        for line in read_text(path).splitlines():
            name, _, rest = line.partition(", ")
            number = rest.partition(",")[0]
            if not number.isdecimal() or int(number) >= classes:
                raise TfmmError(
                    f"`{path}` must hold lines of a path, a class and a coarse class. "
                    f"Received: {line!r}. Copy the file from its source again."
                )
            photos.append(name)
            items.append(int(number))
            parts.append(part)
    return photos, items, parts


def _descriptions(path: Path) -> dict[str, str]:
    try:
        texts = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise TfmmError(
            f"`{path}` must be a JSON object of texts. Received: {error}. "
            "Copy the file from its source again."
        ) from error
    return {name: str(text).strip("\ufeff \n") for name, text in dict(texts).items()}


def _spaced(name: str) -> str:
    return name.replace("-", " ")
