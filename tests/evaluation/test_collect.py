import numpy as np
import pytest

from tfmm.errors import TfmmError
from tfmm.evaluation.collect import collect, collect_logged
from tfmm.evaluation.columns import Columns


def batch(n_items, **changes):
    b, n = len(n_items), 3
    item = np.arange(b * n).reshape(b, n) + 10
    return {
        "user_key": np.arange(b, dtype=np.int64) - 5,
        "time": np.arange(b) * 1_000_000,
        "n_history": np.arange(b) + 1,
        "item": item,
        "n_items": np.array(n_items),
        "label_click": (item % 2).astype(np.float32),
    } | changes


def logit_is_item(data):
    return (data["item"] - 12).astype(np.float32)


def test_valid_candidates_only():
    rows = collect(logit_is_item, [batch([2, 0, 3]), batch([1])])
    assert rows.item.tolist() == [10, 11, 16, 17, 18, 10]
    assert rows.user_key.tolist() == [-5, -5, -3, -3, -3, -5]
    assert rows.label.tolist() == [0, 1, 0, 1, 0, 0]
    assert rows.request.tolist() == [0, 0, 2, 2, 2, 3]
    assert rows.n_history.tolist() == [1, 1, 3, 3, 3, 1]
    expected = 1 / (1 + np.exp(-(rows.item - 12.0)))
    np.testing.assert_allclose(rows.probability, expected, rtol=1e-12)


def test_padding_may_be_anything():
    def poisoned(data):
        logits = logit_is_item(data)
        return np.where(np.arange(3) < data["n_items"][:, None], logits, np.nan)

    a = collect(logit_is_item, [batch([2, 1])])
    b = collect(poisoned, [batch([2, 1])])
    np.testing.assert_array_equal(a.probability, b.probability)


def test_extreme_logits_do_not_saturate_or_warn():
    with np.errstate(all="raise"):
        found = collect(lambda _: np.array([[-600.0, 0.0, 30.0]]), [batch([3])])
    assert 0 < found.probability[0] < 1e-200
    assert 0.5 == found.probability[1] < found.probability[2] < 1


def test_label_by_spec_name_or_alone():
    class Model:
        class spec:
            labels = ("buy", "click")

        def __call__(self, data):
            return logit_is_item(data)

    two = batch([3], label_buy=np.ones((1, 3), np.float32))
    assert collect(Model(), [two]).label.tolist() == [1, 1, 1]
    assert collect(Model(), [two], label="click").label.tolist() == [0, 1, 0]
    with pytest.raises(TfmmError, match=r"\['click', 'buy'\]"):
        collect(logit_is_item, [two])


@pytest.mark.parametrize(
    ("model", "data", "message"),
    [
        (logit_is_item, [], "without batches"),
        (lambda _: np.zeros((1, 2)), [batch([3])], r"logits \(1, 2\)"),
        (lambda _: np.full((1, 3), np.nan), [batch([3])], "3 NaN"),
        (logit_is_item, [{"label_click": [[1]]}], "lacks user_key, time"),
    ],
)
def test_errors_teach(model, data, message):
    with pytest.raises(TfmmError, match=message):
        collect(model, data)


def test_columns_save_open_select(tmp_path):
    rows = collect(logit_is_item, [batch([2, 3])])
    rows.save(tmp_path / "rows.npz")
    again = Columns.open(tmp_path / "rows.npz")
    np.testing.assert_array_equal(rows.probability, again.probability)
    assert again.select(again.label == 1).item.tolist() == [11, 13, 15]
    with pytest.raises(TfmmError, match="same length"):
        rows.with_probability([0.5])


def test_a_keras_model_is_run_by_its_predict_function():
    keras = pytest.importorskip("keras")

    class Model(keras.Model):
        def call(self, data, training=False):
            assert not training
            return keras.ops.cast(data["item"], "float32") - 12.0

    batches = [batch([2, 0, 3]), batch([1])]
    a, b = collect(Model(), batches), collect(logit_is_item, batches)
    np.testing.assert_allclose(a.probability, b.probability, rtol=1e-6)


def test_logged_scores_are_taken_as_they_are():
    scores = np.array([[0.25, 7.0, np.nan], [0.5, np.nan, np.nan]], np.float32)
    data = batch([2, 1], base_score=scores)
    logged, model = collect_logged([data]), collect(logit_is_item, [data])
    assert logged.probability.tolist() == [0.25, 7.0, 0.5]
    for name in ("user_key", "item", "time", "label", "request"):
        assert getattr(logged, name).tolist() == getattr(model, name).tolist()
    with pytest.raises(TfmmError, match="1 NaN"):
        collect_logged([data | {"n_items": np.array([3, 1])}])
    with pytest.raises(TfmmError, match="carries no logged score"):
        collect_logged([batch([2, 1])])


def test_one_of_several_heads():
    class Model:
        labels = ("click", "buy")

        def __call__(self, data):
            return {"click": logit_is_item(data), "buy": -logit_is_item(data)}

    two = batch([3], label_buy=np.ones((1, 3), np.float32))
    click, buy = collect(Model(), [two]), collect(Model(), [two], label="buy")
    assert click.label.tolist() == [0, 1, 0] and buy.label.tolist() == [1, 1, 1]
    np.testing.assert_allclose(click.probability, 1 - buy.probability)
    other = batch([3], label_fav=np.ones((1, 3), np.float32))
    with pytest.raises(TfmmError, match=r"label='fav', heads for \['click', 'buy'\]"):
        collect(Model(), [other], label="fav")


def test_the_label_trained_on_comes_before_the_schemas_first():
    class Model:
        labels = ("click",)

        class spec:
            labels = ("buy", "click")

        def __call__(self, data):
            return logit_is_item(data)

    two = batch([3], label_buy=np.ones((1, 3), np.float32))
    assert collect(Model(), [two]).label.tolist() == [0, 1, 0]
