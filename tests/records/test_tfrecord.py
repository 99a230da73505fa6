import pytest

from tfmm.errors import TfmmError
from tfmm.records.tfrecord import read_records, write_records

RECORDS = [b"", b"one", bytes(range(256)) * 50]


def test_tensorflow_reads_ours_and_bytes_are_equal(tmp_path):
    import tensorflow as tf

    assert write_records(tmp_path / "ours", RECORDS) == 3
    with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
        for record in RECORDS:
            writer.write(record)
    read = tf.data.TFRecordDataset(str(tmp_path / "ours")).as_numpy_iterator()
    assert list(read) == RECORDS
    assert list(read_records(tmp_path / "theirs")) == RECORDS
    assert (tmp_path / "ours").read_bytes() == (tmp_path / "theirs").read_bytes()


def test_no_records(tmp_path):
    assert write_records(tmp_path / "empty", []) == 0
    assert list(read_records(tmp_path / "empty")) == []


@pytest.mark.parametrize("end", [1, 3, 5, 11, 13, 15])
def test_a_cut_file(tmp_path, end):
    write_records(tmp_path / "a", [b"abc"])
    (tmp_path / "a").write_bytes((tmp_path / "a").read_bytes()[:-end])
    with pytest.raises(TfmmError, match=r"damaged|ends in the middle"):
        list(read_records(tmp_path / "a"))


@pytest.mark.parametrize("place", [0, 9, 13, 16])
def test_a_changed_byte(tmp_path, place):
    write_records(tmp_path / "a", [b"abc"])
    data = bytearray((tmp_path / "a").read_bytes())
    data[place] ^= 1
    (tmp_path / "a").write_bytes(data)
    with pytest.raises(TfmmError, match="damaged"):
        list(read_records(tmp_path / "a"))
