"""Records that no model could use are refused, by file and value."""

import numpy as np
import pytest
import tensorflow as tf
import timeline_folder as folders

from tfmm.data import requests


def changed(name, value, place=1):
    """A good timeline of four requests with another value at a place."""
    record = folders.timeline(7, 4)
    values = record[name].copy()
    values[place] = value
    return record | {name: values}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (
            changed("event_item", 100),
            r"`event_item` to be a catalog row .*0 to 99.*100",
        ),
        (changed("item", -3), r"`item` to be a catalog row .*Received: -3"),
        (changed("event_type", 4), r"a code of the event types \(0 to 3\).*: 4"),
        (changed("request_cut", 5), r"`request_cut` to be within the events.*5"),
        (changed("request_start", 9), r"no later than the cut.*Received: 9"),
        (changed("request_items", 4), r"as many values of `item` as"),
        (changed("label_click", np.nan), r"finite numbers in `label_click`.*nan"),
        (changed("candidate_price", np.inf), r"finite .* `candidate_price`.*inf"),
        (
            folders.timeline(7, 12, request_start=np.zeros(12, int)),
            r"history length to be max_history \(0 to 8\).*Received: 9",
        ),
        (
            folders.timeline(
                7,
                1,
                request_items=np.array([4]),
                item=np.array([2, 3, 4, 5]),
                label_click=np.zeros(4, "f4"),
                candidate_price=np.zeros(4, "f4"),
            ),
            r"`request_items` to be max_items \(1 to 3\).*Received: 4",
        ),
    ],
)
def test_bad_records_are_named(tmp_path, bad, message):
    good = [folders.timeline(user, 3) for user in range(5)]
    folders.write(tmp_path / "train", [*good[:4], bad, good[4]], shards=3)
    # Of six timelines the fifth is in the second file.
    pattern = rf"timelines-1\.tfrecord` cannot be used.*{message}"
    shuffle = "event_item" in message
    data = requests(tmp_path / "train", folders.vocabularies(), 4, shuffle)
    with pytest.raises(tf.errors.InvalidArgumentError, match=pattern):
        list(data)
