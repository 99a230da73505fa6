"""Groups of items are the same to the pairs' job and to training."""

import apache_beam as beam
import numpy as np
import pytest
import tensorflow as tf

from beam_jobs.item_facts import ItemFacts, ReadItemFacts
from tfmm.data.item_media import ItemMedia
from tfmm.records.example import encode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import write_manifest
from tfmm.records.tfrecord import write_records


def written(folder, index, near):
    looks = [bytes(32), bytes(31) + b"\1", b"", b"\xff" * 32, b""]
    records = [
        encode(
            {
                "row": np.array([row]),
                "item_id": [b"%d" % row],
                "title": [b""],
                "image": [b""],
                "image_hash": [b"same" if row in (4, 5) else b""],
                "image_phash": [look],
                "equivalent": [b""],
            }
        )
        for row, look in enumerate(looks, 2)
    ]
    folder.mkdir()
    for shard in range(2):
        write_records(folder / f"items-{shard}.tfrecord", records[shard::2])
    facts = {"near_duplicates": near} if near is not None else {}
    counts = {"read": 5, "written": 5, "dropped": {}}
    write_manifest(folder, "items", counts, index=index.stamp(), **facts)


@pytest.mark.parametrize(
    ("near", "expected"), [(None, [2, 3, 4, 4, 6]), (1, [2, 2, 4, 4, 6])]
)
def test_near_pictures(tmp_path, near, expected):
    index = ItemIndex.create("abcde")
    written(tmp_path / "items", index, near)
    pipeline = beam.Pipeline("FnApiRunner")
    facts = pipeline | ReadItemFacts(tmp_path / "items", index)
    _ = facts | beam.Map((tmp_path / "facts").write_bytes)
    pipeline.run()
    rows = np.arange(2, 7)
    assert (
        ItemFacts((tmp_path / "facts").read_bytes()).groups(rows).tolist() == expected
    )
    media = ItemMedia(tmp_path / "items", ["image"])
    assert media.groups(tf.constant(rows)).numpy().tolist() == expected
