import keras
import numpy as np
import pytest
import tensorflow as tf

from tfmm.encoders.image_encoder import ImageEncoder
from tfmm.encoders.text_encoder import TextEncoder
from tfmm.encoders.titles import WordPieces
from tfmm.errors import TfmmError
from tfmm.pretrain.scl import SCL


def compiled(scl, rate=0.05):
    scl.compile(optimizer=keras.optimizers.Adam(rate))
    return scl


def step(scl, batch):
    return scl.train_on_batch(batch, return_dict=True)["loss"]


def evaluated(scl, batch):
    return scl.test_on_batch(batch, return_dict=True)["loss"]


def test_default_tasks_share_one_tower_per_modality(make_encoder):
    scl = SCL(image=make_encoder("image"), text=make_encoder("text"), bank_size=8)
    assert [str(task) for task in scl.tasks] == ["image->image", "text->text"]
    assert scl.query_towers == {}
    # Two Dense layers of two weights and two temperatures are all that is trained.
    assert len(scl.trainable_variables) == 6


def test_cross_tasks_have_a_query_tower_only_where_needed(make_encoder):
    image, text = make_encoder("image"), make_encoder("text")
    alone = SCL(image=image, text=text, tasks=["text->image"], bank_size=8)
    assert alone.query_towers == {}
    both = SCL(image=image, text=text, tasks=["text->image", "text->text"], bank_size=8)
    assert list(both.query_towers) == ["text_to_image"]
    assert both.query_towers["text_to_image"] is not text.tower


def test_loss_by_hand_of_two_items_and_a_hard_negative(make_encoder, make_batch):
    scl = SCL(
        image=make_encoder("image"), bank_size=4, temperature_init=0.5, margin=0.2
    )
    batch = make_batch([5, 6], negatives=[9, 0])
    tower = scl.image.tower
    query, item, negative = (
        tower(batch[f"{part}_image"]).numpy() for part in ("query", "item", "negative")
    )
    logits = query @ item.T / 0.5
    nce = np.log(np.exp(logits).sum(1)) - np.diag(logits)
    hinge = max(0.0, 0.2 + query[0] @ negative[0] - query[0] @ item[0])
    expected = nce.mean() + 10 * hinge / 2
    loss = evaluated(compiled(scl), batch)
    assert loss == pytest.approx(expected, rel=1e-5)


def test_an_item_is_never_its_own_negative(make_encoder, make_batch):
    # All pairs bought item 5, and the bank holds nothing else: no negatives, no loss.
    scl = compiled(SCL(image=make_encoder("image"), bank_size=8))
    batch = make_batch([5, 5, 5], negatives=[5, 5, 5])
    for _ in range(3):
        assert step(scl, batch) == pytest.approx(0.0, abs=1e-6)
    assert int(scl.banks["image"].filled) == 8


def test_bank_and_momentum_move_in_training_only(make_encoder, make_batch):
    scl = compiled(SCL(image=make_encoder("image"), bank_size=10, momentum=0.75))
    batch = make_batch([5, 6, 7])
    copy = scl.momentum_towers["image"].copy
    before, keys = copy.get_weights()[0].copy(), copy(batch["item_image"]).numpy()
    scl.test_on_batch(batch)
    scl.predict_on_batch(batch)
    assert int(scl.banks["image"].filled) == 0
    scl.train_on_batch(batch)
    after = scl.image.tower.get_weights()[0]
    np.testing.assert_allclose(
        copy.get_weights()[0], 0.75 * before + 0.25 * after, atol=1e-6
    )
    bank = scl.banks["image"]
    assert bank.groups.numpy().tolist()[:4] == [5, 6, 7, 0]
    # The keys are the positives' own, of the copy as the step found it.
    np.testing.assert_allclose(bank.keys.numpy()[:3], keys, atol=1e-6)


@pytest.mark.parametrize("bank_positive", ["live", "momentum"])
def test_bank_keys_are_negatives_of_the_next_step(
    make_encoder, make_batch, bank_positive
):
    scl = SCL(
        image=make_encoder("image"),
        bank_size=10,
        triplet_weight=0,
        bank_positive=bank_positive,
    )
    compiled(scl)
    scl.train_on_batch(make_batch([5, 6, 7]))
    batch = make_batch([8, 5], seed=1)
    query, item = (
        scl.image.tower(batch[f"{part}_image"]).numpy() for part in ("query", "item")
    )
    tau = float(scl.temperatures["image"].value())
    near, far = query @ item.T / tau, query @ scl.banks["image"].keys.numpy().T / tau
    # Pair 0 sees all three keys, pair 1 not that of its own item 5.
    seen = [far[0, :3], far[1, 1:3]]
    if bank_positive == "live":
        rows = [np.concatenate(both) for both in zip(near, seen, strict=True)]
        losses = [np.log(np.exp(r).sum()) - r[i] for i, r in enumerate(rows)]
    else:
        copy = scl.momentum_towers["image"].copy
        own = np.sum(query * copy(batch["item_image"]).numpy(), axis=1) / tau
        losses = [np.log(np.exp(r).sum()) - r[i] for i, r in enumerate(near)]
        for i, keys in enumerate(seen):
            losses[i] += np.log(np.exp(own[i]) + np.exp(keys).sum()) - own[i]
    expected = np.mean(losses)
    assert evaluated(scl, batch) == pytest.approx(expected, rel=1e-4)


@pytest.mark.slow
def test_without_a_modality_the_loss_is_zero_and_finite(make_encoder, make_batch):
    scl = SCL(image=make_encoder("image"), text=make_encoder("text"), bank_size=8)
    compiled(scl)
    batch = make_batch([5, 6, 7], absent=("query_image", "query_text"))
    before = [variable.numpy().copy() for variable in scl.trainable_variables]
    logs = scl.train_on_batch(batch, return_dict=True)
    assert logs["loss"] == logs["image_loss"] == logs["text_loss"] == 0.0
    for variable, value in zip(scl.trainable_variables, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value)
    assert int(scl.banks["image"].filled) == 0


def test_absent_rows_and_batch_order_change_nothing(make_encoder, make_batch):
    scl = compiled(SCL(image=make_encoder("image"), bank_size=8))
    batch = make_batch([5, 6, 7, 8], negatives=[9, 0, 3, 0])
    there = tf.constant([True, True, False, True])
    holes = batch | {"has_query_image": there}
    fewer = {name: tf.boolean_mask(value, there) for name, value in batch.items()}
    mixed = {name: tf.reverse(value, [0]) for name, value in holes.items()}
    loss = evaluated(scl, fewer)
    assert evaluated(scl, holes) == pytest.approx(loss, rel=1e-5)
    assert evaluated(scl, mixed) == pytest.approx(loss, rel=1e-5)


def test_the_temperature_learns_within_its_bounds(make_encoder, make_batch):
    scl = compiled(SCL(image=make_encoder("image"), bank_size=8), rate=1.0)
    values = []
    for seed in range(6):
        scl.train_on_batch(make_batch([5, 6, 7, 8], seed=seed))
        values.append(float(scl.temperatures["image"].value()))
    assert len(set(values)) > 1
    assert all(0.0099 < value < 1.001 for value in values)
    assert max(values) == pytest.approx(1.0)  # Random media: the upper bound.


def squares(count, random):
    """A shop of coloured squares: the query is the item's colour, a little off."""
    colours = random.integers(20, 235, (count, 3))
    noise = random.integers(-12, 13, (count, 3))
    images = np.broadcast_to(colours[:, None, None], (count, 3, 3, 3))
    queries = np.broadcast_to((colours + noise)[:, None, None], (count, 3, 3, 3))
    wrong = random.permutation(count)
    yes, zeros = np.ones(count, bool), np.zeros((count, 3), "int32")
    texts = {f"{part}_text": zeros for part in ("query", "item", "negative")}
    has_texts = {f"has_{name}": ~yes for name in texts}
    return {
        "item": np.arange(2, count + 2, dtype="int32"),
        "negative": (wrong + 2).astype("int32"),
        "query_image": queries.astype("uint8"),
        "item_image": images.astype("uint8"),
        "negative_image": images[wrong].astype("uint8"),
        **{f"has_{part}_image": yes for part in ("query", "item", "negative")},
        **texts,
        **has_texts,
    }


@pytest.mark.slow
def test_learns_coloured_squares(make_encoder):
    random = np.random.default_rng(0)
    train = tf.data.Dataset.from_tensor_slices(squares(1000, random))
    test = tf.data.Dataset.from_tensor_slices(squares(200, random)).batch(64)
    scl = compiled(SCL(image=make_encoder("image", dimension=8)), rate=0.02)
    history = scl.fit(
        train.batch(100), epochs=12, validation_data=test, verbose=0
    ).history
    assert scl.bank_size == 4000
    assert history["val_image_acc@1"][-1] > 0.2  # Chance: 1 in 200.
    assert history["val_image_acc@5"][-1] > history["val_image_acc@1"][-1]
    assert history["val_image_acc@1"][-1] > history["val_image_acc@1"][0]
    assert history["image_loss"][-1] < history["image_loss"][0]


@pytest.mark.slow
def test_callbacks_can_watch_the_accuracy(make_encoder, make_batch):
    data = tf.data.Dataset.from_tensors(make_batch([5, 6, 7]))
    scl = compiled(SCL(image=make_encoder("image"), text=make_encoder("text")))
    stop = keras.callbacks.EarlyStopping("val_text_acc@1", mode="max", patience=1)
    history = scl.fit(
        data, epochs=50, validation_data=data, callbacks=[stop], verbose=0
    ).history
    assert len(history["val_text_acc@1"]) < 50


@pytest.mark.slow
def test_saved_and_loaded_goes_on_alike(make_encoder, make_batch, tmp_path):
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "hat"]
    scl = SCL(
        image=ImageEncoder(make_encoder("image").tower),
        text=TextEncoder(make_encoder("text").tower, WordPieces(vocabulary, 3)),
        tasks=["image->image", "text->image", "text->text"],
        bank_size=7,
        momentum=keras.optimizers.schedules.PolynomialDecay(0.5, 10, 0.9),
    )
    compiled(scl)
    for seed in range(3):
        scl.train_on_batch(make_batch([5, 6, 7], negatives=[8, 9, 0], seed=seed))
    scl.save(tmp_path / "scl.keras")
    loaded = keras.models.load_model(tmp_path / "scl.keras")
    batch = make_batch([5, 8, 3], negatives=[9, 9, 0], seed=9)
    ours, theirs = scl.predict_on_batch(batch), loaded.predict_on_batch(batch)
    for name, vectors in ours.items():
        np.testing.assert_allclose(theirs[name], vectors, atol=1e-6)
    np.testing.assert_array_equal(
        loaded.banks["image"].keys.numpy(), scl.banks["image"].keys.numpy()
    )
    for _ in range(2):
        logs = loaded.train_on_batch(batch, return_dict=True)
        scl_logs = scl.train_on_batch(batch, return_dict=True)
        assert logs["loss"] == pytest.approx(scl_logs["loss"], rel=1e-6)
    titles = tf.constant(["red hat", ""])
    tokens = [model.text.preprocess(titles).numpy() for model in (scl, loaded)]
    np.testing.assert_array_equal(*tokens)
    vectors = [model.image.tower(batch["item_image"]) for model in (scl, loaded)]
    np.testing.assert_allclose(*vectors, atol=1e-6)


def test_without_a_bank_there_is_no_momentum_copy(make_encoder, make_batch):
    scl = compiled(SCL(image=make_encoder("image"), bank_size=0))
    assert scl.momentum_towers == {}
    assert np.isfinite(step(scl, make_batch([5, 6])))


def test_errors(make_encoder, make_batch):
    image, text = make_encoder("image"), make_encoder("text")
    with pytest.raises(TfmmError, match="An encoder is needed"):
        SCL()
    with pytest.raises(TfmmError, match="of that modality"):
        SCL(image=text)
    with pytest.raises(TfmmError, match=r"Unknown task.*'video->image'"):
        SCL(image=image, tasks=["video->image"])
    with pytest.raises(TfmmError, match="was not given: text"):
        SCL(image=image, tasks=["text->image"])
    with pytest.raises(TfmmError, match="No task trains the encoder of: text"):
        SCL(image=image, text=text, tasks=["image->image"])
    with pytest.raises(TfmmError, match="one dimension"):
        wide = make_encoder("text", dimension=5)
        SCL(image=image, text=wide, tasks=["text->image"])
    with pytest.raises(TfmmError, match="momentum=2"):
        SCL(image=image, momentum=2)
    with pytest.raises(TfmmError, match="at least one slot"):
        SCL(image=image, bank_size=-1)
    batch = make_batch([5, 6])
    with pytest.raises(TfmmError, match="no size yet"):
        compiled(SCL(image=image)).train_on_batch(batch)
    del batch["item_image"]
    with pytest.raises(TfmmError, match="lacks: item_image"):
        compiled(SCL(image=image, bank_size=3)).train_on_batch(batch)


def test_the_encoder_of_queries_is_the_items_or_has_a_tower_of_its_own(
    make_encoder, tmp_path
):
    tokens = WordPieces(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "red", "hat"], 3)
    text = TextEncoder(make_encoder("text").tower, tokens)
    image = ImageEncoder(make_encoder("image").tower)
    scl = SCL(image=image, text=text, tasks=["text->text", "text->image"], bank_size=0)
    assert scl.query_encoder("text").tower is text.tower
    own = scl.query_encoder("text->image")
    assert own.tower is scl.query_towers["text_to_image"]
    assert own.tokens is text.tokens
    own.tower.set_weights([w + 0.01 for w in own.tower.get_weights()])
    own.save(tmp_path / "query")
    loaded = TextEncoder.load(tmp_path / "query")
    words = loaded.preprocess(tf.constant(["red hat"]))
    np.testing.assert_allclose(loaded.tower(words), own.tower(words), atol=1e-6)
    with pytest.raises(TfmmError, match="no task 'image'"):
        scl.query_encoder("image")


def test_the_temperature_stays_in_its_bounds(make_encoder, make_batch):
    scl = SCL(
        image=make_encoder("image"), bank_size=0, temperature_bounds=(0.069, 0.071)
    )
    compiled(scl, rate=5.0)
    for _ in range(5):
        scl.train_on_batch(make_batch([5, 6, 7]))
        assert 0.069 <= float(scl.temperatures["image"].value()) <= 0.071
    copy = SCL.from_config(scl.get_config())
    assert copy.temperature_bounds == (0.069, 0.071)
