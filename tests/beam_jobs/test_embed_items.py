"""Item records to a catalog."""

import io
import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import tfmm
from beam_jobs import command, embed_items
from tfmm.catalog import Catalog
from tfmm.encoders.titles import SPECIAL
from tfmm.errors import TfmmError
from tfmm.records.example import encode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import write_manifest, writing
from tfmm.records.tfrecord import write_records

IDS = [f"item{number:02d}" for number in range(20)]


def _jpeg(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def _media(number):
    """Item 3 has no picture, 5 no title, 7 a broken picture, 9 nothing at all."""
    picture = {3: b"", 7: b"broken", 9: b""}.get(number, _jpeg(number))
    title = "" if number in (5, 9) else f"red shoe {number}"
    return picture, title.encode()


def _write_items(folder, index, numbers, shards=3):
    with writing(folder) as tmp:
        for shard in range(shards):
            records = []
            for number in numbers[shard::shards]:
                picture, title = _media(number)
                records.append(
                    encode(
                        {
                            "row": np.array([number + 2]),
                            "item_id": [IDS[number].encode()],
                            "title": [title],
                            "image": [picture],
                            "image_hash": [b""],
                        }
                    )
                )
            write_records(tmp / f"items-{shard:05d}-of-00003.tfrecord", records)
        counts = {"read": len(numbers), "written": len(numbers), "dropped": {}}
        write_manifest(tmp, kind="items", counts=counts, index=index.stamp())


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Twenty items in the index, sixteen with records."""
    folder = tmp_path_factory.mktemp("shop")
    index = ItemIndex.create(IDS)
    index.save(folder / "index")
    _write_items(folder / "items", index, list(range(16)))
    keras.utils.set_random_seed(0)
    encoders = {
        "image": tfmm.encoders.image("micro", dimension=8, image_size=32),
        "text": tfmm.encoders.text(
            "micro",
            vocabulary=[*SPECIAL, "red", "shoe", *"0123456789"],
            dimension=4,
            sequence_length=8,
        ),
    }
    tfmm.encoders.save_item_encoder(folder / "encoder", **encoders)
    return folder, encoders


def _run(folder, output, **options):
    inputs = {name: str(folder / name) for name in ("items", "encoder", "index")}
    return embed_items.run(**{**inputs, "output": str(output), **options})


@pytest.fixture(scope="module")
def made(shop):
    folder, _ = shop
    manifest = _run(folder, folder / "catalog", batch_size=4)
    return manifest, Catalog.open(folder / "catalog")


def test_counts_add_up(made):
    counts = made[0]["counts"]
    assert counts == {
        "read": 16,
        "written": 15,
        "dropped": {"no_media": 1},
        "modalities": {
            "image": {
                "read": 16,
                "written": 13,
                "dropped": {"absent": 2, "unreadable": 1},
            },
            "text": {"read": 16, "written": 14, "dropped": {"absent": 2}},
        },
    }


def test_rows_and_presence(made):
    _, catalog = made
    assert catalog.rows == 22
    image = np.flatnonzero(catalog.modalities["image"].present) - 2
    text = np.flatnonzero(catalog.modalities["text"].present) - 2
    assert image.tolist() == [n for n in range(16) if n not in (3, 7, 9)]
    assert text.tolist() == [n for n in range(16) if n not in (5, 9)]
    absent = catalog.vectors("image")[[0, 1, 5, 9, 11, 18]]
    np.testing.assert_array_equal(absent, np.zeros((6, 8)))


def test_vectors_are_the_towers(shop, made):
    _, encoders = shop
    numbers = [0, 1, 2, 15]
    for place, (modality, encoder) in enumerate(encoders.items()):
        raw = tf.constant([_media(number)[place] for number in numbers])
        expected = encoder.tower(encoder.preprocess(raw)).numpy()
        found = made[1].vectors(modality)[[number + 2 for number in numbers]]
        np.testing.assert_allclose(found, expected, atol=0.01)  # int8


def test_encoders_are_the_sources(shop, made):
    _, encoders = shop
    sources = {name: encoder.digest for name, encoder in encoders.items()}
    assert dict(made[1].sources) == sources


def test_batch_size_changes_nothing_and_nothing_is_left(shop, made, tmp_path):
    folder, _ = shop
    _run(folder, tmp_path / "catalog", batch_size=100)
    again = Catalog.open(tmp_path / "catalog")
    assert again.fingerprint == made[1].fingerprint
    for name, table in made[1].modalities.items():
        other = again.modalities[name]
        np.testing.assert_array_equal(other.present, table.present)
        # A last bit of float32 may fall to the other side of a half.
        assert np.abs(other.codes.astype(int) - table.codes).max() <= 1
    assert [path.name for path in tmp_path.iterdir()] == ["catalog"]


def test_same_input_same_bytes(shop, made, tmp_path):
    folder, _ = shop
    again = _run(folder, tmp_path / "catalog", batch_size=4)
    assert again["files"] == made[0]["files"]


def test_grown_index_keeps_the_fingerprint(shop, made, tmp_path):
    folder, _ = shop
    index = ItemIndex.open(folder / "index").extend(["new"])
    index.save(tmp_path / "index")
    _run(folder, tmp_path / "catalog", index=str(tmp_path / "index"))
    grown = Catalog.open(tmp_path / "catalog")
    assert grown.rows == 23
    assert grown.fingerprint == made[1].fingerprint


def test_other_lineage_is_refused(shop, tmp_path):
    folder, _ = shop
    ItemIndex.create(["another"]).save(tmp_path / "index")
    with pytest.raises(TfmmError, match="belongs to another item index"):
        _run(folder, tmp_path / "catalog", index=str(tmp_path / "index"))


def test_folder_that_is_no_encoder(shop, tmp_path):
    folder, _ = shop
    with pytest.raises(TfmmError, match="is no item encoder"):
        _run(folder, tmp_path / "catalog", encoder=str(tmp_path))


def test_item_that_comes_twice(shop, tmp_path):
    folder, _ = shop
    index = ItemIndex.open(folder / "index")
    _write_items(tmp_path / "items", index, [0, 1, 2, 0])
    with pytest.raises(TfmmError, match="Item records hold an item twice"):
        _run(folder, tmp_path / "catalog", items=str(tmp_path / "items"))
    assert not (tmp_path / "catalog").exists()


def test_no_media_at_all(shop, tmp_path):
    folder, _ = shop
    _write_items(tmp_path / "items", ItemIndex.open(folder / "index"), [9])
    with pytest.raises(TfmmError, match="No item has a picture or title"):
        _run(folder, tmp_path / "catalog", items=str(tmp_path / "items"))


def test_fused_vectors(shop, tmp_path):
    folder, encoders = shop
    fusion = tfmm.encoders.fusion(*encoders.values(), dimension=5)
    tfmm.encoders.save_item_encoder(tmp_path / "encoder", **encoders, fusion=fusion)
    encoder = str(tmp_path / "encoder")
    manifest = _run(folder, tmp_path / "catalog", encoder=encoder)
    # Only item 9 has nothing at all; the broken picture 7 has a title.
    assert manifest["counts"]["modalities"]["fused"] == {
        "read": 16,
        "written": 15,
        "dropped": {"absent": 1},
    }
    catalog = Catalog.open(tmp_path / "catalog")
    present = np.flatnonzero(catalog.modalities["fused"].present) - 2
    assert present.tolist() == [n for n in range(16) if n != 9]
    picture, title = _media(0)
    parts = [
        encoders["image"].tower(encoders["image"].preprocess(tf.constant([picture]))),
        encoders["text"].tower(encoders["text"].preprocess(tf.constant([title]))),
    ]
    expected = fusion.tower([*parts, tf.constant([True]), tf.constant([True])])
    np.testing.assert_allclose(catalog.vectors("fused")[[2]], expected, atol=0.01)


def test_batch_size_must_be_positive(shop, tmp_path):
    with pytest.raises(TfmmError, match="Received: 0"):
        _run(shop[0], tmp_path / "catalog", batch_size=0)


def test_command_line(shop, tmp_path, capsys):
    folder, _ = shop
    inputs = [f"--{name}={folder / name}" for name in ("items", "encoder", "index")]
    command.main(
        embed_items._arguments(),
        embed_items.run,
        lambda manifest: json.dumps(manifest["counts"]),
        [*inputs, f"--output={tmp_path / 'catalog'}", "--direct_num_workers=1"],
    )
    assert json.loads(capsys.readouterr().out.rsplit(" (", 1)[0])["written"] == 15
