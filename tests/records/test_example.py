import numpy as np
import pytest

from tfmm.records.example import decode, encode, varints

FEATURES = {
    "ids": np.array([0, 1, 127, 128, 300, -1, 2**63 - 1, -(2**63)]),
    "one": np.array([7], np.int32),
    "flags": np.array([True, False]),
    "numbers": np.array([0.5, -1.25, 3e8], np.float32),
    "texts": [b"", "Größe".encode(), b"x" * 300],
    "no_ids": np.zeros(0, np.int64),
    "no_numbers": np.zeros(0, np.float32),
    "no_texts": [],
}
PLAIN = {name: list(value) for name, value in FEATURES.items()}


def tensorflow_example():
    import tensorflow as tf

    made = tf.train.Example()
    for name, value in PLAIN.items():
        feature = made.features.feature[name]
        if isinstance(FEATURES[name], list):
            feature.bytes_list.value.extend(value)
        elif FEATURES[name].dtype.kind == "f":
            feature.float_list.value.extend(value)
        else:
            feature.int64_list.value.extend([int(x) for x in value])
    return made


def test_own_round_trip():
    assert decode(encode(FEATURES)) == PLAIN


def test_tensorflow_reads_ours():
    made = type(tensorflow_example()).FromString(encode(FEATURES))
    assert made == tensorflow_example()


def test_we_read_tensorflows():
    assert decode(tensorflow_example().SerializeToString()) == PLAIN


def test_bytes_equal_tensorflows_for_one_feature():
    import tensorflow as tf

    ids = tf.train.Feature(int64_list=tf.train.Int64List(value=[3, 500, -2]))
    made = tf.train.Example(features=tf.train.Features(feature={"ids": ids}))
    assert encode({"ids": np.array([3, 500, -2])}) == made.SerializeToString()


def test_parse_example_reads_ours():
    import tensorflow as tf

    kinds = {name: tf.int64 for name in ("ids", "one", "flags", "no_ids")}
    kinds |= {"numbers": tf.float32, "no_numbers": tf.float32}
    kinds |= {"texts": tf.string, "no_texts": tf.string}
    spec = {name: tf.io.RaggedFeature(kind) for name, kind in kinds.items()}
    found = tf.io.parse_example([encode(FEATURES)], spec)
    assert {name: found[name][0].numpy().tolist() for name in kinds} == PLAIN


def test_unpacked_integers_are_read():
    # Field 3 (int64_list) with field 1 as single varints is refused by name.
    record = b"\n\x0c\n\n\n\x02id\x12\x04\x1a\x02\x08\x05"
    with pytest.raises(ValueError, match="wire type"):
        decode(record)


def test_varints_of_random_numbers():
    rng = np.random.default_rng(0)
    for bits in range(1, 64):
        values = rng.integers(-(2 ** (bits - 1)), 2 ** (bits - 1), 50)
        packed = encode({"x": values})
        assert decode(packed) == {"x": values.tolist()}
    assert varints(np.zeros(0, np.int64)) == b""
