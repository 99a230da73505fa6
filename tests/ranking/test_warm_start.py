import dataclasses
from types import SimpleNamespace

import grown_shop as shop
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.errors import TfmmError
from tfmm.ranking import (
    MAKE,
    AdamAdagrad,
    LazyAdam,
    MakeInterest,
    RankingModel,
    Restarted,
    SparseAdagrad,
)
from tfmm.records.spec import Feature

SEARCH = {"history_search": {"k": 3}}
OPTIMIZERS = {
    "lazy": lambda: LazyAdam(0.01, weight_decay=0.01),
    "mixed": lambda: AdamAdagrad(0.01, rates={"embeddings": 10.0}),
    "adagrad": lambda: SparseAdagrad(0.05),
    "stock": lambda: keras.optimizers.Adam(0.01),
}
# Other users in another order, a new age and event type, more items, one now too rare.
GROWN = {
    "users": ["new", *reversed(shop.USERS[1:]), "newer"],
    "ages": ["20", "25", "30", "40"],
    "types": ("cart", "order", "view"),
    "categories": ["coat", "hat", "shoe"],
    "rare": (4, 13),
}


def catalog(make_table, rows, fingerprint="f"):
    """Tables whose first rows are the same however many there are."""
    full = make_table(20, 8, 0), make_table(20, 4, 1)
    tables = {
        name: SimpleNamespace(
            codes=t.codes[:rows],
            inverse_norm=t.inverse_norm[:rows],
            present=t.present[:rows],
        )
        for name, t in zip(("image", "text"), full, strict=True)
    }
    return SimpleNamespace(modalities=tables, fingerprint=fingerprint)


@pytest.fixture
def build(make_table):
    """Builds a compiled ranker of all kinds of interests."""

    def ranker(
        vocabularies,
        optimizer="lazy",
        interests=("din", "simtier"),
        seed=0,
        graph=False,
        **settings,
    ):
        keras.utils.set_random_seed(seed)
        vectors = catalog(make_table, vocabularies.spec.rows)
        if interests == "all":
            make = MAKE(vectors, hidden=(6, 4))
            tuned = MakeInterest(make, freeze=False, layers_used=(1,))
            interests = ("din", "simtier", make, tuned, SEARCH)
        settings = {"hidden": (8, 4), "embedding_dim": 4, **settings}
        model = RankingModel(vocabularies, vectors, interests, **settings)
        if optimizer:
            model.compile(OPTIMIZERS[optimizer](), run_eagerly=not graph)
        return model

    return ranker


@pytest.fixture(scope="module")
def days():
    """Vocabularies of the first day and of a second one that grew."""
    return shop.vocabularies(shop.index()), shop.vocabularies(shop.index(13), **GROWN)


def fit(model, batch, epochs=1):
    dataset = tf.data.Dataset.from_tensor_slices(batch).batch(8)
    return model.fit(dataset, epochs=epochs, shuffle=False, verbose=0)


def same_make(new, old):
    """A frozen MAKE is the new model's own: here the same one."""
    new.interests[2].extractor.set_weights(old.interests[2].extractor.get_weights())


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_equals_going_on_where_nothing_grew(build, days, optimizer, tmp_path):
    first, second = (shop.requests(days[0], seed=seed) for seed in (1, 2))
    # Graphs take long to trace: one optimizer is enough of them.
    graph = optimizer == "lazy"
    settings = {"interests": "all", "graph": True} if graph else {}
    old = build(days[0], optimizer, **settings)
    fit(old, first)
    old.save(tmp_path / "old.keras")
    warm = build(days[0], optimizer, seed=99, **settings)
    if graph:
        same_make(warm, old)
    loaded = keras.models.load_model(tmp_path / "old.keras")
    taken = warm.warm_start(loaded, days[0], days[0], shop.index())
    assert taken.steps == 3
    assert all(c.new == c.dropped == 0 for c in taken.tables.values())
    assert set(taken.tables) == {
        *("user", "item", "event_type", "user_age", "candidate_slot", "item_category"),
    }
    history = [fit(model, second).history for model in (warm, old)]
    assert history[0] == history[1]
    for mine, theirs in zip(warm.variables, old.variables, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    for mine, theirs in zip(
        warm.optimizer.variables, old.optimizer.variables, strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
def test_known_ids_score_as_before_in_a_grown_shop(build, days, make_table):
    # Row 4 became rare and rows from 12 on are new: known items are the others.
    old = build(days[0], interests="all")
    new = build(days[1], interests="all", seed=5)
    same_make(new, old)
    batch = shop.requests(days[0], seed=1)
    fit(old, batch)
    taken = new.warm_start(old, *days, shop.index(13))
    assert taken.tables["user"] == (6, 2, 1)  # u0 is gone
    assert taken.tables["item"] == (9, 2, 1)
    assert taken.tables["user_age"] == (3, 1, 0)
    assert taken.tables["event_type"] == (2, 1, 0)
    assert "item: 9 carried, 2 new, 1 dropped" in str(taken)
    scores = []
    for model, vocabularies in zip((old, new), days, strict=True):
        known = shop.requests(vocabularies, seed=3, users=shop.USERS[1:])
        for name in ("item", "history_item"):
            known[name][known[name] == 4] = 5
        scores.append(model.predict_on_batch(known))
    np.testing.assert_allclose(*scores, atol=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["lazy", "mixed"])
def test_new_ids_start_fresh_and_moments_move_with_ids(build, days, optimizer):
    old, new = build(days[0], optimizer), build(days[1], optimizer, seed=5)
    fit(old, shop.requests(days[0], seed=1))
    initial = new.users.table.numpy()
    new.warm_start(old, *days)
    # users: new, u6 .. u1, newer; old: u0 .. u6
    expected = old.users.table.numpy()[[0, 1, 0, 8, 7, 6, 5, 4, 3, 0]]
    expected[[2, 9]] = initial[[2, 9]]
    np.testing.assert_array_equal(new.users.table, expected)
    attribute = "_momentums" if optimizer == "lazy" else "_accumulators"
    slots = [
        getattr(model.optimizer, attribute)[
            [id(v) for v in model.trainable_variables].index(id(model.users.table))
        ].numpy()
        for model in (new, old)
    ]
    expected = slots[1][[0, 1, 0, 8, 7, 6, 5, 4, 3, 0]]
    expected[[2, 9]] = 0.0 if optimizer == "lazy" else 0.1
    np.testing.assert_array_equal(slots[0], expected)
    fit(new, shop.requests(days[1], seed=2, users=GROWN["users"], rows=15))
    batch = shop.requests(days[1], seed=4, users=GROWN["users"])
    assert np.isfinite(new.predict_on_batch(batch)).all()


def test_frozen_parts_are_the_new_models(build, days, make_table):
    old, new = (build(day, interests="all", seed=seed) for seed, day in enumerate(days))
    fit(old, shop.requests(days[0], seed=1))
    make = new.interests[2].extractor.get_weights()
    new.warm_start(old, *days)
    for before, after in zip(
        make, new.interests[2].extractor.get_weights(), strict=True
    ):
        np.testing.assert_array_equal(after, before)
    tuned = [model.interests[3].extractor.get_weights() for model in (new, old)]
    for mine, theirs in zip(*tuned, strict=True):
        np.testing.assert_array_equal(mine, theirs)
    vectors = catalog(make_table, days[1].spec.rows).modalities["image"]
    np.testing.assert_array_equal(new.vectors["image"].codes, vectors.codes)
    rows = new.items.codes.numpy()[:, 0]
    np.testing.assert_array_equal(rows, days[1].items.embedding_row)


def test_a_schedule_begins_anew_and_is_saved(build, days, tmp_path):
    old, new = build(days[0], optimizer=None), build(days[1], optimizer=None, seed=5)
    for model in (old, new):
        decay = keras.optimizers.schedules.CosineDecay(0.01, 3)
        model.compile(LazyAdam(decay), run_eagerly=True)
    fit(old, shop.requests(days[0], seed=1))
    assert float(old.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-9)
    assert new.warm_start(old, *days).steps == 3
    assert int(new.optimizer.iterations) == 3
    assert float(new.optimizer.learning_rate) == pytest.approx(0.01)
    new.save(tmp_path / "new.keras")
    loaded = keras.models.load_model(tmp_path / "new.keras")
    assert isinstance(loaded.optimizer._learning_rate, Restarted)
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.01)
    fit(new, shop.requests(days[1], seed=2, users=GROWN["users"]))
    assert float(new.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-9)


def test_scaled_losses_keep_their_scale(build, days):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        old, new = (build(days[0], seed=s, interests=("din",)) for s in (0, 5))
        fit(old, shop.requests(days[0], seed=1))
        old.optimizer.dynamic_scale.assign(512.0)
        new.warm_start(old, days[0], days[0])
    finally:
        keras.config.set_dtype_policy("float32")
    assert float(new.optimizer.dynamic_scale) == 512.0
    steps = [int(m.optimizer.inner_optimizer.iterations) for m in (new, old)]
    assert steps[0] == steps[1] > 0


def test_weights_alone(build, days):
    old, new = build(days[0]), build(days[1], optimizer=None, seed=5)
    fit(old, shop.requests(days[0], seed=1))
    taken = new.warm_start(old, *days, optimizer=False)
    assert taken.steps is None
    assert str(taken).startswith("fresh optimizer")
    np.testing.assert_array_equal(
        new.tower.logit_layer.kernel, old.tower.logit_layer.kernel
    )


def test_make_starts_from_yesterdays(make_table):
    batch = shop.requests(shop.vocabularies(shop.index()), seed=1)
    old, new = (MAKE(catalog(make_table, rows), hidden=(6, 4)) for rows in (12, 15))
    for model in (old, new):
        model.compile(LazyAdam(0.01), run_eagerly=True)
    fit(old, batch)
    assert new.warm_start(old).steps == 3
    np.testing.assert_array_equal(
        new.predict_on_batch(batch), old.predict_on_batch(batch)
    )
    assert new.vectors["image"].codes.shape == (15, 8)
    for model in (old, new):
        fit(model, batch)
    for mine, theirs in zip(
        new.trainable_variables, old.trainable_variables, strict=True
    ):
        np.testing.assert_array_equal(mine, theirs)
    other = MAKE(catalog(make_table, 15, "another"), hidden=(6, 4))
    with pytest.raises(TfmmError, match="fingerprint another, the old model's has f"):
        other.warm_start(old)
    wider = MAKE(catalog(make_table, 15), hidden=(7, 4))
    with pytest.raises(TfmmError, match=r"hidden=\[7, 4\], the old model has \[6, 4\]"):
        wider.warm_start(old)


def test_what_does_not_fit_is_refused(build, days, make_table):
    old = build(days[0], interests=("din",))

    def start(vocabularies=days[1], given=days, **settings):
        new = build(vocabularies, **{"interests": ("din",), **settings})
        new.warm_start(old, *given)

    with pytest.raises(TfmmError, match="embedding_dim=8, the old model has 4"):
        start(embedding_dim=8)
    with pytest.raises(TfmmError, match=r"interests=\[DinInterest, SimTierInterest\]"):
        start(interests=("din", "simtier"))
    options = {"din": {"normalization": "sigmoid"}}
    with pytest.raises(TfmmError, match=r"normalization='sigmoid', the old model has"):
        start(interests=(options,))
    more = shop.vocabularies(
        shop.index(13), **GROWN, extra=(Feature("hour", "numeric", "context", 0),)
    )
    with pytest.raises(TfmmError, match=r"Features were added.*'context_hour'"):
        start(more, (days[0], more))
    with pytest.raises(TfmmError, match="The new ranker was not built from the new"):
        start(given=days[::-1])
    shuffled = dataclasses.replace(
        days[0],
        items=dataclasses.replace(
            days[0].items, embedding_row=days[0].items.embedding_row[::-1]
        ),
    )
    with pytest.raises(TfmmError, match="The old ranker was not built from the old"):
        start(given=(shuffled, days[1]))
    with pytest.raises(TfmmError, match="Received: no optimizer for the new model"):
        start(optimizer=None)
    with pytest.raises(TfmmError, match="SparseAdagrad for the new model, LazyAdam"):
        start(optimizer="adagrad")
    with pytest.raises(TfmmError, match="RankingModel from MAKE"):
        old.warm_start(MAKE(catalog(make_table, 12)), *days)
    other = RankingModel(
        days[1], catalog(make_table, 15, "g"), ("din",), hidden=(8, 4), embedding_dim=4
    )
    with pytest.raises(TfmmError, match="another encoder's vectors"):
        other.warm_start(old, *days)
    del other
    one = RankingModel(
        days[1],
        catalog(make_table, 15),
        ("din",),
        modalities=["image"],
        hidden=(8, 4),
        embedding_dim=4,
    )
    with pytest.raises(TfmmError, match="other modalities"):
        one.warm_start(old, *days)
