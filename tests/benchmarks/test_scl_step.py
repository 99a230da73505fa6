from dataclasses import replace

import numpy as np
import pytest

from benchmarks import scl_memory, scl_step
from benchmarks.bounds import Bounds
from benchmarks.peak_memory import Peak, peak_of
from benchmarks.scl_cases import SIZES, fill_bank, key_blocks
from benchmarks.scl_memory_cases import (
    CASES,
    logsumexp_at_once,
    loss_peak,
    of_library,
    softmax_at_once,
)

TINY = replace(
    SIZES["smoke"], bank=300, micro_batch=8, dimension=16, loss_batch=24, loss_bank=70
)


def test_both_ways_to_compare_with_a_bank_are_exact():
    errors = scl_step.relative_errors(TINY)
    assert len(errors) == 4
    assert max(errors.values()) < scl_step.RELATIVE_ERROR


def test_numpy_version_agrees_with_a_sum_written_out():
    query, item, bank = np.eye(2), np.eye(2)[::-1], np.array([[0.6, 0.8]])
    tau = scl_step.TEMPERATURE
    found = scl_step.plain_nce(query, item, item, bank)
    # The positive has the cosine 0, the other item 1.
    expected = [np.log(1 + np.exp(1 / tau) + np.exp(x / tau)) for x in bank[0]]
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_relative_error_is_the_largest():
    assert scl_step.relative_error([1.1, 20.0], np.array([1.0, 20.0])) == (
        pytest.approx(0.1)
    )


def test_cases_take_turns():
    order = []
    cases = {name: lambda name=name: order.append(name) for name in "ab"}
    found = scl_step.seconds(cases, 3)
    assert order == list("ababab")
    assert {len(times) for times in found.values()} == {3}


def test_spread_is_median_and_range():
    assert scl_step.spread([0.3, 0.1, 0.2]) == "0.200 s (0.100-0.300)"


@pytest.mark.parametrize(
    ("value", "judged", "text", "code"),
    [
        (1.25, True, "at most 1.25 MiB: ok", 0),
        (1.3, True, "at most 1.25 MiB: EXCEEDED", 1),
        (float("nan"), True, "at most 1.25 MiB: EXCEEDED", 1),
        (1.3, False, "at most 1.25 MiB: EXCEEDED (not judged at this size)", 0),
    ],
)
def test_bounds(value, judged, text, code):
    bounds = Bounds(judged)
    assert bounds.check(value, 1.25, " MiB") == text
    assert bounds.exit_code == code


def test_one_exceeded_bound_is_remembered():
    bounds = Bounds(judged=True)
    bounds.check(2.0, 1.0)
    bounds.check(0.5, 1.0)
    assert bounds.exit_code == 1


def test_peak_is_that_of_the_work_alone():
    size = 64 * 2**20
    np.ones(4 * size, np.uint8)  # Set-up, given back.
    peak = peak_of(lambda: np.ones(size, np.uint8))
    assert 60 < peak.added < 100
    assert 10 < peak.before < 100_000


def test_peak_without_a_counter_to_set_back(monkeypatch, tmp_path):
    monkeypatch.setattr("benchmarks.peak_memory.CLEAR_REFS", tmp_path)
    peak = peak_of(lambda: None)
    assert 10 < peak.before <= peak.highest < 100_000


def test_keys_fill_a_bank_in_blocks():
    from tfmm.pretrain.memory_bank import MemoryBank

    bank = MemoryBank(5000, 4)
    fill_bank(bank)
    assert int(bank.filled) == 5000
    assert len(np.unique(bank.groups)) == 5000
    assert len(list(key_blocks(5000, 4))) == 2


def test_losses_compared_for_memory_agree():
    query, item = (scl_step.unit(6, 8, seed) for seed in (1, 2))
    bank, groups = next(key_blocks(50, 8))
    given = query, item, bank, groups
    one = logsumexp_at_once(*given)
    np.testing.assert_allclose(one, softmax_at_once(*given), rtol=1e-5)
    np.testing.assert_allclose(
        one, scl_step.plain_nce(query, item, item, bank), rtol=1e-5
    )
    np.testing.assert_allclose(
        of_library(None)(*given), of_library(7)(*given), rtol=1e-5
    )


def test_loss_peak_is_sane():
    (peak,) = loss_peak(TINY, of_library(16))
    assert 0 <= peak.added < 500


def test_report_names_what_is_demanded(capsys):
    peaks = {"no_bank": [Peak(0, 100)], "bank": [Peak(0, 900)]}
    given = [Peak(0, 7)]
    bounds = Bounds(judged=True)

    def measure(case):
        assert case in CASES
        return peaks.get(case, given * 3 if case == "copies" else given)

    scl_memory.bank_memory(SIZES["standard"], measure, bounds)
    scl_memory.loss_memory(SIZES["standard"], measure)
    scl_memory.step_memory(SIZES["standard"], measure)
    out = capsys.readouterr().out
    assert "800 MiB more, 2 K d 4 + 3 B K 4: at most 336.328 MiB: EXCEEDED" in out
    assert bounds.exit_code == 1
