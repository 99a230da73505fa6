"""Item records made by hand, small encoders, and the job that joins them."""

import io

import keras
import numpy as np
from PIL import Image

import tfmm
from beam_jobs import embed_items
from tfmm.encoders.titles import SPECIAL
from tfmm.records.example import encode
from tfmm.records.manifest import write_manifest, writing
from tfmm.records.tfrecord import write_records

IDS = [f"item{number:02d}" for number in range(20)]


def jpeg(seed):
    pixels = np.random.default_rng(seed).integers(0, 255, (20, 30, 3), np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG")
    return out.getvalue()


def media(number):
    """Item 3 has no picture, 5 no title, 7 a broken picture, 9 nothing at all."""
    picture = {3: b"", 7: b"broken", 9: b""}.get(number, jpeg(number))
    title = "" if number in (5, 9) else f"red shoe {number}"
    return picture, title.encode()


def write_items(folder, index, numbers, shards=3, changed=()):
    """Records of these items; `changed` has other media by number."""
    changed = dict(changed)
    with writing(folder) as tmp:
        for shard in range(shards):
            records = []
            for number in numbers[shard::shards]:
                picture, title = changed.get(number, media(number))
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
            name = f"items-{shard:05d}-of-{shards:05d}.tfrecord"
            write_records(tmp / name, records)
        counts = {"read": len(numbers), "written": len(numbers), "dropped": {}}
        write_manifest(tmp, kind="items", counts=counts, index=index.stamp())


def encoders(seed=0):
    """A picture and a title encoder."""
    keras.utils.set_random_seed(seed)
    return {
        "image": tfmm.encoders.image("micro", dimension=8, image_size=32),
        "text": tfmm.encoders.text(
            "micro",
            vocabulary=[*SPECIAL, "red", "shoe", *"0123456789"],
            dimension=4,
            sequence_length=8,
        ),
    }


def embed(folder, output, **options):
    """Runs the job on the folder's items, encoder and index, or on others."""
    inputs = {name: str(folder / name) for name in ("items", "encoder", "index")}
    return embed_items.run(**{**inputs, "output": str(output), **options})
