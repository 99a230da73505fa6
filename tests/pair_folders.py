"""Hand-made item and pair records, and encoders that show what they were given."""

import numpy as np
import tensorflow as tf

from tfmm.encoders.titles import SPECIAL, WordPieces
from tfmm.records.manifest import write_manifest


class Pixels:
    """An image encoder's border: JPEG bytes to one grey value per picture."""

    modality = "image"

    def read(self, media):
        good = tf.strings.substr(media, 0, 2) == b"\xff\xd8"
        grey = tf.map_fn(
            lambda data: tf.io.decode_jpeg(data, 3)[:1, :1],
            tf.where(good, media, BLACK),
            fn_output_signature=tf.TensorSpec([1, 1, 3], tf.uint8),
        )
        return tf.ensure_shape(grey, [None, 1, 1, 3]), good


class Letters:
    """A text encoder's border: the first two bytes."""

    modality = "text"

    def read(self, media):
        letters = tf.io.decode_raw(media, tf.uint8, fixed_length=2)
        return tf.cast(letters, tf.int32), tf.strings.length(media) > 0


class Words:
    """A text encoder's border with words to mask."""

    modality = "text"

    def __init__(self):
        self.tokens = WordPieces([*SPECIAL, *"bcdefqrstuv"], 8)

    def read(self, media):
        return self.tokens(media)


def jpeg(grey):
    return tf.io.encode_jpeg(np.full((1, 1, 3), grey, "uint8"), quality=100).numpy()


BLACK = jpeg(0)


def example(**values):
    features = {}
    for name, value in values.items():
        value = value if isinstance(value, list) else [value]
        if value and isinstance(value[0], bytes):
            features[name] = tf.train.Feature(
                bytes_list=tf.train.BytesList(value=value)
            )
        else:
            features[name] = tf.train.Feature(
                int64_list=tf.train.Int64List(value=value)
            )
    features = tf.train.Features(feature=features)
    return tf.train.Example(features=features).SerializeToString()


def write(folder, shards, kind="pairs", lineage="a", **facts):
    folder.mkdir()
    for number, records in enumerate(shards):
        with tf.io.TFRecordWriter(str(folder / f"part-{number}.tfrecord")) as writer:
            for record in records:
                writer.write(record)
    counts = {"read": 99, "written": sum(map(len, shards))}
    write_manifest(folder, kind, counts, index={"lineage": lineage}, **facts)
    return folder


def pair(item, negatives=(), text=b"", image=b"", **more):
    """A pair record; `more` are the features that only newer records have."""
    return example(
        query_text=text,
        query_image=image,
        item=item,
        negatives=list(negatives),
        time=1,
        **more,
    )
