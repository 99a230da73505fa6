import pytest

from tfmm.evaluation import Columns, gain_table
from tfmm.onboarding.verdict import Coverage, next_steps, verdict

FULL = Coverage(items=9, unknown_vectors=1, candidates=1.0, history=0.9)


def _table(scores):
    """Three users with one click and one non-click each."""
    users = [1, 1, 2, 2, 3, 3]
    label = [0, 1] * 3
    rows = {
        name: Columns(users, range(6), range(6), label, score, [0] * 6)
        for name, score in scores.items()
    }
    return gain_table(rows)


def test_a_sure_gain():
    # Every user's AUC goes from 0 to 1, so the users do not differ: error 0.
    table = _table({"id_only": [0.6, 0.4] * 3, "simtier": [0.4, 0.6] * 3})
    assert verdict(table, FULL).startswith(
        "SimTier adds +100.00 points of GAUC (standard error 0.00): more than two"
    )
    assert "100% of the test candidates and 90% of the history" in verdict(table, FULL)
    assert len(next_steps(table, FULL)) == 1


def test_no_difference():
    table = _table({"id_only": [0.4, 0.6] * 3, "simtier": [0.4, 0.6] * 3})
    assert "within one standard error" in verdict(table, FULL)
    assert any("neighbours" in step for step in next_steps(table, FULL))


def test_a_loss():
    table = _table({"id_only": [0.4, 0.6] * 3, "simtier": [0.6, 0.4] * 3})
    assert "SimTier loses -100.00 points" in verdict(table, FULL)


def test_low_coverage_comes_first():
    table = _table({"id_only": [0.4, 0.6] * 3, "simtier": [0.4, 0.6] * 3})
    low = Coverage(items=1, unknown_vectors=0, candidates=0.2, history=0.1)
    assert next_steps(table, low)[0].startswith("Give vectors for more items")


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_says_nothing(label):
    rows = Columns([1, 2], [2, 3], [0, 0], [label] * 2, [0.5, 0.6], [0, 0])
    table = gain_table({"id_only": rows, "simtier": rows})
    assert "nothing can be said" in verdict(table, FULL)
