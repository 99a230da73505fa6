"""Item records to a catalog: only what is new goes through the encoder."""

import json
import shutil
import subprocess
import sys

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.portability.common_urns import resource_hints
from item_folders import IDS, embed, encoders, jpeg, media, write_items

import tfmm
from beam_jobs import embed_items, encode_items, files
from beam_jobs.encode_items import EncodeItems, EncodeShards
from beam_jobs.work import Work
from tfmm.catalog import Catalog
from tfmm.encoders.item_encoder import FACTS
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex

# Day two: item 2 has another title, 4 another picture, 3 has got one; 6 and 9 are
# gone, 16 to 18 are new, and so is an id of the index.
NUMBERS = [number for number in range(19) if number not in (6, 9)]
CHANGED = {
    2: (jpeg(2), b"red shoe 22"),
    4: (jpeg(44), media(4)[1]),
    3: (jpeg(33), media(3)[1]),
}


def saved(folder, **modalities):
    """An encoder's folder, as text."""
    tfmm.encoders.save_item_encoder(folder, **modalities)
    return str(folder)


@pytest.fixture(scope="module")
def days(tmp_path_factory):
    """Folder with day one, its catalog, day two, and day two's catalog in full."""
    folder = tmp_path_factory.mktemp("days")
    index = ItemIndex.create(IDS)
    index.save(folder / "index")
    write_items(folder / "items", index, list(range(16)))
    saved(folder / "encoder", **encoders())
    embed(folder, folder / "first")
    grown = index.extend(["new"])
    two = folder / "two"
    grown.save(two / "index")
    write_items(two / "items", grown, NUMBERS, shards=2, changed=CHANGED)
    shutil.copytree(folder / "encoder", two / "encoder")
    embed(two, two / "full")
    return folder


def manifest(folder):
    return json.loads((folder / "manifest.json").read_text())


def encoded_only(monkeypatch, most=None):
    """Sizes of the encoder's calls from now on; the next one after `most` fails."""
    calls, encode = [], EncodeItems._encoded

    def watched(self, given, signature):
        if len(calls) == most:
            raise RuntimeError("the worker is gone")
        calls.append(len(given["title"]))
        return encode(self, given, signature)

    monkeypatch.setattr(EncodeItems, "_encoded", watched)
    return calls


def test_new_and_changed_items_alone_give_the_bytes_of_a_full_run(
    days, tmp_path, monkeypatch
):
    calls = encoded_only(monkeypatch)
    made = embed(days / "two", tmp_path / "new", previous=str(days / "first"))
    full = manifest(days / "two" / "full")
    assert made["files"] == full["files"]
    assert made["modalities"] == full["modalities"]
    assert made["fingerprint"] == full["fingerprint"]
    news = {"encoded": 6, "taken_over": 11, "changed": 3, "gone": 2}
    assert made["counts"] == full["counts"] | news
    assert sum(calls) == 6
    line = embed_items._said(made)
    assert "17 items read, 17 written; 6 encoded, 11 taken over" in line
    assert "(3 changed, 2 gone)" in line


def test_output_may_be_the_previous_catalog(days, tmp_path):
    shutil.copytree(days / "first", tmp_path / "catalog")
    place = tmp_path / "catalog"
    made = embed(days / "two", place, previous=str(place))
    assert made["files"] == manifest(days / "two" / "full")["files"]
    assert made["counts"]["taken_over"] == 11
    assert [path.name for path in tmp_path.iterdir()] == ["catalog"]


@pytest.mark.slow
def test_previous_catalog_and_encoder_in_a_store(days, shelved):
    for name in files.below(str(days / "encoder")):
        content = [(days / "encoder" / name).read_bytes()]
        files.write(f"shelf://encoder/{name}", content)
    embed(days, "shelf://first", encoder="shelf://encoder")
    options = {"previous": "shelf://first", "encoder": "shelf://encoder"}
    made = embed(days / "two", "shelf://new", **options)
    assert made["files"] == manifest(days / "two" / "full")["files"]
    assert made["counts"]["encoded"] == 6


NOTHING_NEW = """
import sys
from beam_jobs import embed_items, encode_items, files
embed_items.run(*sys.argv[1:5], previous=sys.argv[5])
assert "tensorflow" not in sys.modules
"""


@pytest.mark.slow
def test_nothing_new_needs_neither_tensorflow_nor_the_encoder(days, tmp_path):
    facts = tmp_path / "encoder" / FACTS
    facts.parent.mkdir(parents=True)
    shutil.copy(days / "encoder" / FACTS, facts)
    inputs = days / "items", tmp_path / "encoder", days / "index"
    folders = [*map(str, inputs), str(tmp_path / "same"), str(days / "first")]
    command = [sys.executable, "-c", NOTHING_NEW, *folders]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = manifest(tmp_path / "same")
    assert made["files"] == manifest(days / "first")["files"]
    assert made["counts"]["encoded"] == made["counts"]["changed"] == 0
    assert made["counts"]["taken_over"] == 16


@pytest.mark.slow
def test_another_encoder_encodes_everything(days, tmp_path):
    same, other = encoders(), encoders(seed=1)
    encoder = saved(tmp_path / "encoder", image=other["image"], text=same["text"])
    options = {"encoder": encoder, "previous": str(days / "first")}
    made = embed(days, tmp_path / "new", **options)
    full = embed(days, tmp_path / "full", encoder=encoder)
    assert made["files"] == full["files"]
    assert made["counts"]["encoded"] == 16
    assert made["counts"]["taken_over"] == 0
    assert "another encoder of image, so all were encoded" in embed_items._said(made)
    first = Catalog.open(days / "first")
    text = Catalog.open(tmp_path / "new").modalities["text"]
    np.testing.assert_array_equal(text.codes, first.modalities["text"].codes)


def test_fewer_modalities_of_the_same_encoders(days, tmp_path):
    encoder = saved(tmp_path / "encoder", image=encoders()["image"])
    embed(days, tmp_path / "new", encoder=encoder, previous=str(days / "first"))
    made = Catalog.open(tmp_path / "new")
    assert set(made.modalities) == {"image"}
    image = Catalog.open(days / "first").modalities["image"]
    np.testing.assert_array_equal(made.modalities["image"].present, image.present)


def test_a_killed_run_goes_on_with_what_it_has(days, tmp_path, monkeypatch):
    monkeypatch.setattr(encode_items, "_SHARDS_PER_LANE", 1)
    options = {"previous": str(days / "first")}
    with monkeypatch.context() as patch:
        calls = encoded_only(patch, most=1)
        with pytest.raises(RuntimeError, match="the worker is gone"):
            embed(days / "two", tmp_path / "new", **options)
        assert len(calls) == 1
    assert not (tmp_path / "new").exists()
    left = encoded_only(monkeypatch)
    made = embed(days / "two", tmp_path / "new", **options)
    assert sum(calls) + sum(left) == 6
    assert made["files"] == manifest(days / "two" / "full")["files"]
    assert made["counts"]["encoded"] == 6
    assert [path.name for path in tmp_path.iterdir()] == ["new"]


def damaged(days, place, name):
    """Day one's catalog with one byte of a file changed."""
    shutil.copytree(days / "first", place)
    data = bytearray((place / name).read_bytes())
    data[-1] ^= 1
    (place / name).write_bytes(data)


@pytest.mark.parametrize("name", ["media_digests.npy", "image.codes.npy"])
def test_damaged_previous_catalog(days, tmp_path, name):
    damaged(days, tmp_path / "old", name)
    with pytest.raises(TfmmError, match=f"{name}.* was changed after it was written"):
        embed(days, tmp_path / "new", previous=str(tmp_path / "old"))
    assert not (tmp_path / "new").exists()


def test_catalog_that_does_not_say_what_it_was_made_of(days, tmp_path):
    Catalog.open(days / "first").save(tmp_path / "old")
    with pytest.raises(TfmmError, match="does not say what its vectors were made of"):
        embed(days, tmp_path / "new", previous=str(tmp_path / "old"))


@pytest.mark.parametrize("shape, kind", [((3, 16), "uint8"), ((22, 16), "int64")])
def test_digests_that_do_not_fit(days, tmp_path, shape, kind):
    digests = {"media_digests": np.zeros(shape, kind)}
    Catalog.open(days / "first").save(tmp_path / "old", beside=digests)
    with pytest.raises(TfmmError, match=rf"Received: {kind} \[{shape[0]}, 16\]"):
        embed(days, tmp_path / "new", previous=str(tmp_path / "old"))


def test_previous_catalog_of_another_index_or_a_grown_one(days, tmp_path):
    other = ItemIndex.create(["another"])
    other.save(tmp_path / "index")
    write_items(tmp_path / "items", other, [0])
    with pytest.raises(TfmmError, match=r"`.*first` belongs to another item index"):
        embed(
            tmp_path,
            tmp_path / "new",
            encoder=str(days / "encoder"),
            previous=str(days / "first"),
        )
    with pytest.raises(TfmmError, match=r"`.*full` knows more items than the index"):
        embed(days, tmp_path / "new", previous=str(days / "two" / "full"))


@pytest.mark.parametrize("place, message", [("none", "not a finished"), ("items", "")])
def test_what_is_no_catalog(days, tmp_path, place, message):
    with pytest.raises(TfmmError, match=message or "holds something else"):
        embed(days, tmp_path / "new", previous=str(days / place))


TESLA = "type:nvidia-tesla-t4;count:1;install-nvidia-driver"


def test_resource_hints_change_no_output(days, tmp_path):
    options = {"accelerator": TESLA, "min_ram": "8GB"}
    made = embed(days, tmp_path / "new", previous=str(days / "first"), **options)
    assert made["files"] == manifest(days / "first")["files"]


def hinted(hints):
    """Names of steps -> their resource hints."""
    pipeline = beam.Pipeline()
    encode = EncodeShards("encoder", {}, 16, Work("work", 1), None)
    lanes = pipeline | beam.Create([(0, ["items"])])
    _ = lanes | "Items" >> encode.with_resource_hints(**hints)
    parts = pipeline.to_runner_api().components
    return {
        step.unique_name: dict(parts.environments[step.environment_id].resource_hints)
        for step in parts.transforms.values()
        if step.environment_id
    }


def test_resource_hints_hold_for_all_that_pictures_pass():
    hints = {"accelerator": TESLA, "min_ram": "8GB"}
    found = hinted(embed_items._hints(**hints))
    wanted = {
        resource_hints.ACCELERATOR.urn: TESLA.encode(),
        resource_hints.MIN_RAM_BYTES.urn: b"8000000000",
    }
    inside = {name: each for name, each in found.items() if "Items/" in name}
    assert {name.split("/")[1] for name in inside} == {"Batches", "Encode", "Write"}
    assert all(each == wanted for each in inside.values())
    assert all(not each for each in found.values() if each not in inside.values())
    given = hinted(embed_items._hints(accelerator=None, min_ram=None))
    assert not any(given.values())


def test_memory_that_is_no_size(days, tmp_path):
    with pytest.raises(TfmmError, match=r"Received: {'min_ram': 'plenty'}"):
        embed(days, tmp_path / "new", min_ram="plenty")
