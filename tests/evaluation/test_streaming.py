import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.evaluation.metrics import gauc
from tfmm.evaluation.streaming import StreamingGauc


def rows(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    users = rng.integers(-(2**62), 2**62, 90)[rng.integers(0, 90, n)]
    return users, rng.random(n) < 0.3, np.round(rng.normal(size=n), 1)


def fed(columns, step, **options):
    state = StreamingGauc(**options)
    for start in range(0, len(columns[0]), step):
        state.update(*(column[start : start + step] for column in columns))
    return state


@pytest.mark.parametrize("weighting", ["impressions", "uniform"])
@pytest.mark.parametrize(
    "options", [{}, {"rows_in_memory": 100}, {"rows_in_memory": 700, "shards": 3}]
)
def test_equals_gauc_of_all_rows(options, weighting):
    columns = rows()
    state, whole = fed(columns, 64, **options), gauc(*columns, weighting)
    found = state.result(weighting)
    assert found.value == pytest.approx(whole.value, abs=1e-12)
    assert (found.users, found.usable_share) == (whole.users, whole.usable_share)
    assert len(state) == 3000


def test_order_and_updates_after_a_result_do_not_matter():
    users, labels, scores = rows()
    order = np.random.default_rng(1).permutation(3000)
    state = fed((users[order], labels[order], scores[order]), 999, rows_in_memory=500)
    state.result()
    state.update(users[:7], labels[:7], scores[:7])
    expected = gauc(*(np.r_[c, c[:7]] for c in (users, labels, scores)))
    assert state.result().value == pytest.approx(expected.value, abs=1e-12)


@pytest.mark.parametrize("mine", [100, 10_000])
@pytest.mark.parametrize("theirs", [100, 10_000])
def test_merged_states_equal_one(mine, theirs):
    a, b = rows(seed=1), rows(seed=2)
    state = fed(a, 100, rows_in_memory=mine)
    state.merge(fed(b, 100, rows_in_memory=theirs, shards=5))
    whole = gauc(*(np.r_[x, y] for x, y in zip(a, b, strict=True)))
    assert state.result().value == pytest.approx(whole.value, abs=1e-12)
    assert len(state) == 6000


def test_files_go_with_the_state(tmp_path):
    state = fed(rows(), 100, rows_in_memory=300, folder=tmp_path)
    assert sum(f.stat().st_size for f in tmp_path.rglob("*.rows")) == 3000 * 17
    del state
    assert not list(tmp_path.iterdir())


def test_nothing_is_not_an_error_until_the_result():
    state = StreamingGauc()
    state.update([], [], [])
    with pytest.raises(TfmmError, match="0 rows, none"):
        state.result()
    state.update([1, 2], [1, 0], [0.5, 0.5])
    with pytest.raises(TfmmError, match="2 rows, none of such a user"):
        state.result()


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        (([1, 2], [1, 0], [0.5, np.nan]), "1 NaN"),
        (([1, 2], [1, 2], [0.5, 0.5]), "0 or 1"),
        (([1], [1, 0], [0.5, 0.5]), "one for each label"),
        ((["a", "b"], [1, 0], [0.5, 0.5]), "keyed hash"),
        (([1.0, 2.0], [1, 0], [0.5, 0.5]), "float64"),
    ],
)
def test_a_bad_update_is_refused_whole(columns, message):
    state = StreamingGauc()
    with pytest.raises(TfmmError, match=message):
        state.update(*columns)
    assert len(state) == 0


def test_bad_options():
    with pytest.raises(TfmmError, match="shards=0"):
        StreamingGauc(shards=0)
    with pytest.raises(TfmmError, match="'clicks'"):
        StreamingGauc().result("clicks")
