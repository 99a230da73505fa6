"""Hashed codes agree between the job, the input pipeline and the export."""

import numpy as np
import pyarrow as pa
import pytest
import tensorflow as tf

from tfmm.data.timeline_pools import _lookup
from tfmm.export.assets import Lookup, write_lines
from tfmm.export.border import codes_of as border_codes
from tfmm.export.strings import strings_of
from tfmm.records.vocabularies import codes_of

KNOWN = ["red", "blue", " red", "élan", "日本", "1"]
AWKWARD = [
    *("", "red", "RED", "red ", " red", "\t", "0", "1", "01", "1.0", "nan", "null"),
    *(
        "élan",
        "e\u0301lan",
        "日本",
        "🛒",
        "a\x00b",
        "\u2028",
        "x" * 10_000,
        "<unknown>",
    ),
    *("mauve", "mauve\n", "\\n", '"quoted"', "'", "a,b", "\ufeffred", "\r"),
]


@pytest.mark.parametrize("buckets", [0, 1, 7, 1000])
@pytest.mark.parametrize("known", [KNOWN, []])
def test_three_ways_to_a_code(known, buckets, tmp_path):
    job = codes_of(known, pa.array(AWKWARD), buckets)
    pipeline = _lookup(known, buckets)(tf.constant(AWKWARD)).numpy()
    lookup = Lookup(
        write_lines(tmp_path / "v.txt", known), empty=0, hash_buckets=buckets
    )
    served = tf.function(lookup)(tf.constant(AWKWARD)).numpy()
    border = border_codes(np.array(AWKWARD, object), known, buckets)
    for other in (pipeline, served, border):
        np.testing.assert_array_equal(other, job)
    # 0 is missing alone; known values come first, hashed ones after them.
    assert (job == 0).tolist() == [text == "" for text in AWKWARD]
    for text, code in zip(AWKWARD, job.tolist(), strict=True):
        if text in known:
            assert code == known.index(text) + 2
        elif text and buckets:
            assert 2 + len(known) <= code < 2 + len(known) + buckets
        elif text:
            assert code == 1


def test_bytes_that_are_no_text():
    values = np.array([b"\xff\xfe", b"ok"], object)
    served = _lookup(["ok"], 50)(tf.constant(values)).numpy()
    np.testing.assert_array_equal(border_codes(values, ["ok"], 50), served)


def test_null_is_missing_and_chunks_do_not_matter():
    column = pa.chunked_array([["pink", None], ["", "red", "pink"]])
    codes = codes_of(["red"], column, 100)
    assert codes[[1, 2]].tolist() == [0, 0] and codes[3] == 2
    assert codes[0] == codes[4] >= 3


def test_hashes_never_change():
    """Fixed for ever: a saved model's codes depend on it."""
    codes = codes_of([], pa.array(["a", "mauve", "日本"]), 1_000_000)
    assert codes.tolist() == [2 + n for n in FIXED]


FIXED = [363939, 333235, 711883]


@pytest.mark.parametrize("buckets", [1, 5, 5000])
def test_there_is_a_string_for_every_code(buckets):
    known = ["red", "<unknown 3>"]
    codes = np.arange(min(4 + buckets, 40)).reshape(-1, 1)
    codes = codes[codes[:, 0] != 1]  # Nothing is merely unknown any more.
    texts = strings_of(codes, known, buckets)
    np.testing.assert_array_equal(border_codes(texts, known, buckets), codes)
