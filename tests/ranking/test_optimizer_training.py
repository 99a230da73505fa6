"""The row-wise optimizers in `fit`: sparse throughout, saved, resumed, compiled."""

from dataclasses import replace
from types import SimpleNamespace

import keras
import numpy as np
import pytest
import tensorflow as tf
from small_ranker import ROWS, examples, small_ranker, trained
from traced import BY_ROW, traced_step

from tfmm.ranking import (
    AdamAdagrad,
    LazyAdam,
    RankingModel,
    RowLossScale,
    SparseAdagrad,
    ranking_optimizer,
)

KINDS = [LazyAdam, SparseAdagrad, AdamAdagrad]


@pytest.fixture
def policy(request):
    keras.mixed_precision.set_dtype_policy(request.param)
    yield request.param
    keras.mixed_precision.set_dtype_policy("float32")


def _batch():
    (history, item), labels = examples(steps=1)
    return (tf.constant(history), tf.constant(item)), tf.constant(labels)


def _same(actual, expected, **tolerance):
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **tolerance)


@pytest.mark.parametrize(
    "options",
    [
        {"clipnorm": 1.0},
        {"clipvalue": 1.0},
        {"global_clipnorm": 1.0, "weight_decay": 0.1, "rates": {"embeddings": 3.0}},
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_no_op_of_the_step_is_as_long_as_the_table(kind, options):
    step = traced_step(small_ranker(kind(0.1, **options)), _batch(), ROWS)
    assert step.large == []
    assert step.uses <= BY_ROW


@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"], indirect=True)
def test_mixed_precision_keeps_rows_sparse(policy):
    optimizer = LazyAdam(0.1)
    if policy == "mixed_float16":
        optimizer = RowLossScale(optimizer)
    step = traced_step(small_ranker(optimizer), _batch(), ROWS)
    assert step.large == []


@pytest.mark.parametrize("policy", ["float32", "mixed_float16"], indirect=True)
def test_no_op_of_the_rankers_step_is_as_long_as_its_tables(
    policy, vocabularies, tables, batch
):
    grown = SimpleNamespace(**vars(vocabularies))
    grown.spec = replace(vocabularies.spec, users=ROWS, items=ROWS)
    model = RankingModel(grown, tables, interests=["din", "simtier"])
    model.compile(ranking_optimizer(1e-3, 1e-2, weight_decay=0.1), jit_compile=False)
    assert isinstance(model.optimizer, RowLossScale) == (policy == "mixed_float16")
    step = traced_step(model, {key: tf.constant(batch[key]) for key in batch}, ROWS)
    assert step.large == []
    assert step.uses <= {*BY_ROW, "If"}  # In float16 the update is under a condition.


def test_the_search_for_long_ops_finds_those_of_stock_adam():
    step = traced_step(small_ranker(keras.optimizers.Adam()), _batch(), ROWS)
    assert any(name.startswith("Sqrt ") for name in step.large)
    assert not step.uses <= BY_ROW


@pytest.mark.parametrize("policy", ["mixed_float16"], indirect=True)
def test_the_search_finds_the_check_of_keras_own_loss_scale(policy):
    optimizer = keras.optimizers.LossScaleOptimizer(LazyAdam())
    assert traced_step(small_ranker(optimizer), _batch(), ROWS).large


def _schedule():
    return keras.optimizers.schedules.CosineDecay(0.1, 12)


@pytest.mark.slow
@pytest.mark.parametrize(
    "make",
    [
        lambda: LazyAdam(0.05, rates={"embeddings": 2.0}, clipnorm=1.0),
        lambda: LazyAdam(_schedule(), rates={"items": 2.0}, weight_decay=0.1),
        lambda: SparseAdagrad(_schedule(), global_clipnorm=0.5),
        lambda: AdamAdagrad(0.01, 0.2, rates={"embeddings": 10.0}),
        lambda: RowLossScale(LazyAdam(0.05)),
    ],
)
def test_a_saved_run_goes_on_as_if_never_stopped(make, tmp_path):
    data = examples()
    straight = trained(small_ranker(make()), data, epochs=2)
    halfway = small_ranker(make())
    trained(halfway, data)
    halfway.save(tmp_path / "ranker.keras")
    resumed = keras.saving.load_model(tmp_path / "ranker.keras")
    assert resumed.optimizer.get_config() == halfway.optimizer.get_config()
    for ours, theirs in zip(trained(resumed, data), straight, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "settings", [{"steps_per_execution": 3}, {"jit_compile": True}]
)
def test_compiled_and_grouped_steps_train_the_same(kind, settings):
    data = examples()
    expected = trained(small_ranker(kind(0.05, clipnorm=1.0)), data, epochs=2)
    actual = trained(small_ranker(kind(0.05, clipnorm=1.0), **settings), data, epochs=2)
    _same(actual, expected, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["mixed_float16", "mixed_bfloat16"], indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_mixed_precision_trains_nearly_the_same(kind, policy):
    data = examples()
    optimizer = kind(0.01)
    if policy == "mixed_float16":
        optimizer = RowLossScale(optimizer)
    actual = trained(small_ranker(optimizer), data, epochs=2)
    keras.mixed_precision.set_dtype_policy("float32")
    expected = trained(small_ranker(kind(0.01)), data, epochs=2)
    _same(actual, expected, atol=0.05)
    assert np.isfinite(np.concatenate([weight.ravel() for weight in actual])).all()


def test_an_overflowing_step_is_left_out():
    model = small_ranker(RowLossScale(LazyAdam(0.1), initial_scale=2.0))
    before = model.get_weights()
    model.optimizer.build(model.trainable_variables)
    table = model.trainable_variables[0]
    bad = tf.IndexedSlices(tf.fill([1, 4], np.inf), tf.constant([3]), table.shape)
    others = [tf.ones(v.shape) for v in model.trainable_variables[1:]]
    model.optimizer.apply([bad, *others])
    _same(model.get_weights(), before, atol=0)
    assert float(model.optimizer.dynamic_scale) == 1.0


def test_a_schedule_moves_tables_and_dense_weights():
    # The rate is 0 from the first step on: nothing moves.
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([0], [0.5, 0.0])
    model = small_ranker(LazyAdam(schedule, rates={"embeddings": 10.0}))
    after_one = trained(model, examples(steps=1))
    _same(trained(model, examples(seed=1)), after_one, atol=0)
