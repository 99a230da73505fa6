import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from beam_jobs.kernels.splice import Places, record_ends, splice
from tfmm.records.tfrecord import framed

RECORDS = st.dictionaries(st.integers(0, 30), st.binary(max_size=5), max_size=12)


def file_of(records):
    data = [framed(records[user]) for user in sorted(records)]
    ends = np.cumsum([0, *map(len, data)])[1:]
    return b"".join(data), Places(np.array(sorted(records), np.int64), ends)


@given(RECORDS, RECORDS, st.sets(st.integers(0, 30)))
def test_new_records_take_the_place_of_all_changed_ones(old, new, gone):
    changed = np.array(sorted(gone | set(new)), np.int64)
    sources = [file_of(old), file_of(new)]
    made = splice(sources[0][1], sources[1][1], changed)
    data = b"".join(sources[s][0][at : at + n] for s, at, n in made.reads())
    kept = {user: x for user, x in old.items() if user not in changed}
    expected, places = file_of(kept | new)
    assert data == expected
    assert made.places.users.tolist() == places.users.tolist()
    assert made.places.ends.tolist() == places.ends.tolist()


@given(st.lists(st.binary(max_size=300)))
def test_ends_of_records(records):
    data = [framed(record) for record in records]
    ends = record_ends(b"".join(data))
    assert ends.tolist() == np.cumsum([0, *map(len, data)])[1:].tolist()
