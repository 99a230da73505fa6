"""Item records to a catalog."""

import json

import numpy as np
import pytest
import tensorflow as tf
from item_folders import IDS, embed, encoders, media, write_items

import tfmm
from beam_jobs import command, embed_items
from tfmm.catalog import Catalog
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    """Twenty items in the index, sixteen with records."""
    folder = tmp_path_factory.mktemp("shop")
    index = ItemIndex.create(IDS)
    index.save(folder / "index")
    write_items(folder / "items", index, list(range(16)))
    made = encoders()
    tfmm.encoders.save_item_encoder(folder / "encoder", **made)
    return folder, made


@pytest.fixture(scope="module")
def made(shop):
    folder, _ = shop
    manifest = embed(folder, folder / "catalog", batch_size=4)
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
        "encoded": 16,
        "taken_over": 0,
        "changed": 0,
        "gone": 0,
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
        raw = tf.constant([media(number)[place] for number in numbers])
        expected = encoder.tower(encoder.preprocess(raw)).numpy()
        found = made[1].vectors(modality)[[number + 2 for number in numbers]]
        np.testing.assert_allclose(found, expected, atol=0.01)  # int8


def test_encoders_are_the_sources(shop, made):
    _, encoders = shop
    sources = {name: encoder.digest for name, encoder in encoders.items()}
    assert dict(made[1].sources) == sources


@pytest.mark.slow
def test_batch_size_changes_nothing_and_nothing_is_left(shop, made, tmp_path):
    folder, _ = shop
    embed(folder, tmp_path / "catalog", batch_size=100)
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
    again = embed(folder, tmp_path / "catalog", batch_size=4)
    assert again["files"] == made[0]["files"]


def test_grown_index_keeps_the_fingerprint(shop, made, tmp_path):
    folder, _ = shop
    index = ItemIndex.open(folder / "index").extend(["new"])
    index.save(tmp_path / "index")
    embed(folder, tmp_path / "catalog", index=str(tmp_path / "index"))
    grown = Catalog.open(tmp_path / "catalog")
    assert grown.rows == 23
    assert grown.fingerprint == made[1].fingerprint


def test_other_lineage_is_refused(shop, tmp_path):
    folder, _ = shop
    ItemIndex.create(["another"]).save(tmp_path / "index")
    with pytest.raises(TfmmError, match="belongs to another item index"):
        embed(folder, tmp_path / "catalog", index=str(tmp_path / "index"))


def test_folder_that_is_no_encoder(shop, tmp_path):
    folder, _ = shop
    with pytest.raises(TfmmError, match="is no item encoder"):
        embed(folder, tmp_path / "catalog", encoder=str(tmp_path))


def test_item_that_comes_twice(shop, tmp_path):
    folder, _ = shop
    index = ItemIndex.open(folder / "index")
    write_items(tmp_path / "items", index, [0, 1, 2, 0])
    with pytest.raises(TfmmError, match="Item records hold an item twice"):
        embed(folder, tmp_path / "catalog", items=str(tmp_path / "items"))
    assert not (tmp_path / "catalog").exists()


def test_no_media_at_all(shop, tmp_path):
    folder, _ = shop
    write_items(tmp_path / "items", ItemIndex.open(folder / "index"), [9])
    with pytest.raises(TfmmError, match="No item has a picture or title"):
        embed(folder, tmp_path / "catalog", items=str(tmp_path / "items"))


def test_fused_vectors(shop, tmp_path):
    folder, encoders = shop
    fusion = tfmm.encoders.fusion(*encoders.values(), dimension=5)
    tfmm.encoders.save_item_encoder(tmp_path / "encoder", **encoders, fusion=fusion)
    encoder = str(tmp_path / "encoder")
    manifest = embed(folder, tmp_path / "catalog", encoder=encoder)
    # Only item 9 has nothing at all; the broken picture 7 has a title.
    assert manifest["counts"]["modalities"]["fused"] == {
        "read": 16,
        "written": 15,
        "dropped": {"absent": 1},
    }
    catalog = Catalog.open(tmp_path / "catalog")
    present = np.flatnonzero(catalog.modalities["fused"].present) - 2
    assert present.tolist() == [n for n in range(16) if n != 9]
    picture, title = media(0)
    parts = [
        encoders["image"].tower(encoders["image"].preprocess(tf.constant([picture]))),
        encoders["text"].tower(encoders["text"].preprocess(tf.constant([title]))),
    ]
    expected = fusion.tower([*parts, tf.constant([True]), tf.constant([True])])
    np.testing.assert_allclose(catalog.vectors("fused")[[2]], expected, atol=0.01)


def test_batch_size_must_be_positive(shop, tmp_path):
    with pytest.raises(TfmmError, match="Received: 0"):
        embed(shop[0], tmp_path / "catalog", batch_size=0)


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
