"""Readers of retrieval data sets, on hand-made sources and real ones where they are."""

import io
import json
import os
import zipfile
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tfmm.datasets import fashion_products, grocery_store
from tfmm.datasets.picture_archive import pixels, read_pictures
from tfmm.errors import TfmmError
from tfmm.schema import Schema

ROOT = Path(__file__).parents[2]
REAL = Path(os.environ.get("TFMM_DATA", ROOT / "../shared/data"))
CLASSES = """\
Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),\
Iconic Image Path (str),Product Description Path (str)
Pink-Lady,0,Apple,0,/icons/Fruit/Pink.jpg,/texts/Pink.txt
Leek,1,Leek,1,/icons/Vegetables/Leek.jpg,/texts/Leek.txt
"""
ITEMS = """\
id,gender,masterCategory,subCategory,articleType,baseColour,season,year,usage,\
productDisplayName
1,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011.0,Casual,Shirt One
2,Men,Apparel,Topwear,Shirts,Navy Blue,Fall,2011.0,Casual,Shirt Two
3,Women,Apparel,Topwear,Shirts,Navy Blue,Fall,2011.0,Casual,"Shirt, Three"
4,Men,Apparel,Topwear,Shirts,,Fall,2011.0,Casual,No Colour
"""


def jpeg(colour):
    data = io.BytesIO()
    Image.new("RGB", (8, 4), colour).save(data, "JPEG", quality=95)
    return data.getvalue()


RED, BLUE = jpeg((255, 0, 0)), jpeg((0, 0, 255))


def archive(path, members):
    with zipfile.ZipFile(path, "w") as file:
        for name, data in members.items():
            file.writestr(name, data)


@pytest.fixture
def grocery(tmp_path):
    (tmp_path / "classes.csv").write_text(CLASSES)
    (tmp_path / "train.txt").write_text("train/a.jpg, 0, 0\ntrain/b.jpg, 1, 1\n")
    (tmp_path / "val.txt").write_text("val/a.jpg, 1, 1\n")
    (tmp_path / "test.txt").write_text("test/a.jpg, 1, 1\n")
    texts = {"texts/Pink.txt": "\ufeffCrisp.\n", "texts/Other.txt": "Else."}
    (tmp_path / "descriptions.json").write_text(json.dumps(texts))
    photos = dict.fromkeys(
        ["train/a.jpg", "train/b.jpg", "val/a.jpg", "test/a.jpg"], BLUE
    )
    icons = {"icons/Fruit/Pink.jpg": RED, "icons/Vegetables/Leek.jpg": BLUE}
    archive(tmp_path / "images.zip", icons | photos)
    return tmp_path


@pytest.fixture
def fashion(tmp_path):
    (tmp_path / "items.csv").write_text(ITEMS)
    names = {f"images/{i}.jpg": RED if i in (2, 3) else BLUE for i in (1, 2, 3)}
    archive(tmp_path / "images.zip", names | {"images/4.jpg": jpeg((0, 99, 0))})
    return tmp_path


def test_grocery_photos_lead_to_products(grocery):
    data = grocery_store.load(grocery)
    assert data.item_ids == ["Pink-Lady", "Leek"]
    assert data.titles == ["Pink Lady. Crisp.", "Leek."]
    assert data.attributes["coarse"] == ["Apple", "Leek"]
    assert data.attributes["department"] == ["Fruit", "Vegetables"]
    assert data.parts.tolist() == ["train", "train", "validation", "test"]
    assert [a.tolist() for a in data.pairs("train")] == [[0, 1], [0, 1]]
    assert data.candidates("test").tolist() == [1]
    assert data.query_pixels(4).shape == (4, 4, 4, 3)
    # 8 x 4 in a square of 4: two rows of picture, a black row above and below.
    red = data.item_pixels(4)[0].astype(int)
    assert red[0].max() == 0 and red[3].max() == 0
    np.testing.assert_allclose(red[1, 1], [255, 0, 0], atol=3)


def test_fashion_words_have_several_answers_and_equal_photos_are_one(fashion):
    data = fashion_products.load(fashion, test_fraction=1e-9)
    assert set(data.parts) == {"train"}
    assert data.query_words == ["men navy blue shirts", "women navy blue shirts"]
    assert [a.tolist() for a in data.pairs("train")] == [[0, 0, 1], [0, 1, 2]]
    assert data.groups.tolist() == [0, 1, 1, 3]
    assert fashion_products.load(fashion, words=["usage"]).query_words[0] == "casual"


def test_groups_are_never_parted_and_the_split_needs_no_order(fashion):
    for seed in range(20):
        data = fashion_products.load(fashion, test_fraction=0.5, seed=seed)
        part = dict(
            zip(data.pair_item, data.parts[data.pair_query].tolist(), strict=True)
        )
        assert part[1] == part[2]


def test_tables_of_the_jobs(fashion, tmp_path):
    folder = fashion_products.load(fashion, test_fraction=1e-9).convert(
        tmp_path / "out"
    )
    items = pq.read_table(folder / "items.parquet").to_pylist()
    assert [row["equivalent"] for row in items] == [None, "2", "2", None]
    assert items[2]["image"] == RED and items[2]["title"] == "Shirt, Three"
    searches = pq.read_table(folder / "searches.parquet").to_pylist()
    assert [(r["search"], r["bought_item"], r["part"]) for r in searches] == [
        (0, "1", "train"), (0, "2", "train"), (1, "3", "train"),
    ]  # fmt: skip
    schema = Schema.from_yaml(folder / "schema.yaml")
    assert schema.searches.query_text == "query_text"
    assert schema.searches.query_image is None


def test_pairs_for_validation_are_counted(grocery, tmp_path):
    folder = grocery_store.convert(grocery, tmp_path / "out")
    counts = json.loads((folder / "manifest.json").read_text())["counts"]
    assert counts == {
        "read": 6,
        "written": {"items": 2, "searches": 3},
        "dropped": {"validation": 1},
    }


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: (f / "classes.csv").unlink(), "cannot be read"),
        (lambda f: (f / "classes.csv").write_text("a,b\n1,2\n"), "with the columns"),
        (lambda f: (f / "train.txt").write_text("a.jpg, 2, 0\n"), "lines of a path"),
        (lambda f: (f / "test.txt").write_text("no.jpg, 1, 0\n"), "no member 'no.jpg'"),
        (lambda f: (f / "descriptions.json").write_text("{"), "JSON object"),
        (lambda f: (f / "images.zip").write_bytes(b"PK"), "a zip file"),
        (lambda f: (f / "images.zip").unlink(), "is missing"),
    ],
)
def test_a_damaged_source_is_named(grocery, spoil, message):
    spoil(grocery)
    with pytest.raises(TfmmError, match=message):
        grocery_store.load(grocery)


def test_limits_of_pictures(tmp_path):
    archive(tmp_path / "a.zip", {"big": b"0" * 4_000_001})
    with pytest.raises(TfmmError, match="4 MB a picture"):
        read_pictures(tmp_path / "a.zip", ["big"])
    with pytest.raises(TfmmError, match="Picture 1 cannot be read"):
        pixels([RED, b"text"], 4)
    with pytest.raises(TfmmError, match="must be positive"):
        pixels([RED], 0)


def test_unknown_words(fashion):
    with pytest.raises(TfmmError, match="must name attributes"):
        fashion_products.load(fashion, words=["taste"])


@pytest.mark.parametrize(
    ("reader", "items", "parts"),
    [
        (grocery_store, 81, {"train": 2640, "validation": 296, "test": 2485}),
        (fashion_products, 9583, {"train": 958, "test": 528}),
    ],
)
def test_the_real_sets(reader, items, parts):
    source = REAL / reader.__name__.split(".")[-1]
    if not source.is_dir():
        pytest.skip(f"needs {source.name} below TFMM_DATA, not at {source}")
    data = reader.load(source)
    assert len(data.item_ids) == len(data.titles) == len(data.item_images) == items
    assert {part: int((data.parts == part).sum()) for part in parts} == parts
    if reader is fashion_products:
        assert not set(data.groups[data.candidates("train")]) & set(
            data.groups[data.candidates("test")]
        )
        # 9,583 photos, 9,461 different ones.
        assert len(np.unique(data.groups)) == 9461
