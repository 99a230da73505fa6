"""A small shop on two days: ids that stay, ids that come, ids that go."""

import numpy as np

from tfmm.records.index import ItemIndex
from tfmm.records.spec import Feature, RequestSpec
from tfmm.records.vocabularies import ItemTable, Vocabularies

USERS = [f"u{i}" for i in range(7)]
AGES, SLOTS, CATEGORIES = ["20", "30", "40"], ["top", "side"], ["hat", "shoe"]
LENGTH, SHOWN = 6, 4


def index(count=10):
    """An index of `count` items that grew from one of 10."""
    first = ItemIndex.create([f"item{i:02d}" for i in range(10)])
    return first.extend(f"item{i:02d}" for i in range(count))


def vocabularies(
    items,
    users=USERS,
    ages=AGES,
    types=("order", "view"),
    categories=CATEGORIES,
    rare=(),
    extra=(),
):
    """Vocabularies of an index; item `i` has category `i % 2`, `rare` rows are 1."""
    values = {
        "user": users,
        "user_age": ages,
        "candidate_slot": SLOTS,
        "item_category": categories,
    }
    frequent = [row for row in range(2, items.rows) if row not in rare]
    embedding_row = np.ones(items.rows, np.int32)
    embedding_row[0] = 0
    embedding_row[frequent] = np.arange(len(frequent)) + 2
    codes = np.zeros([items.rows, 1], np.int32)
    codes[2:, 0] = [
        categories.index(CATEGORIES[row % 2]) + 2 for row in range(2, items.rows)
    ]
    numbers = np.zeros([items.rows, 1], np.float32)
    numbers[2:, 0] = np.arange(2, items.rows)
    features = (
        Feature("age", "categorical", "user", len(ages) + 2),
        Feature("price", "numeric", "candidate", 0),
        Feature("slot", "categorical", "candidate", len(SLOTS) + 2),
        Feature("category", "categorical", "item", len(categories) + 2),
        Feature("weight", "numeric", "item", 0),
        *extra,
    )
    spec = RequestSpec(
        users=len(users) + 2,
        items=len(frequent) + 2,
        rows=items.rows,
        features=features,
        event_types=tuple(types),
        labels=("click",),
        max_history=LENGTH,
        max_items=SHOWN,
    )
    table = ItemTable(embedding_row, codes, numbers, np.ones(items.rows, np.int64))
    return Vocabularies(values, table, spec, items.stamp())


def requests(of, size=24, seed=0, users=USERS, rows=12):
    """Random requests in the codes of some vocabularies; one seed, one meaning."""
    rng = np.random.default_rng(seed)

    def codes(known, values, shape):
        drawn = rng.integers(len(known), size=shape)
        return (np.array([values.index(v) for v in known])[drawn] + 2).astype("int32")

    ages, types = of.values["user_age"], of.spec.event_types
    return {
        "user": codes(users, of.values["user"], size),
        "user_key": np.arange(size),
        "time": np.arange(size),
        "user_age": codes(AGES, ages, size),
        "history_item": rng.integers(2, rows, [size, LENGTH]).astype("int32"),
        "history_type": codes(["order", "view"], list(types), [size, LENGTH]),
        "n_history": rng.integers(0, LENGTH + 1, size).astype("int32"),
        "item": rng.integers(2, rows, [size, SHOWN]).astype("int32"),
        "candidate_price": rng.normal(size=[size, SHOWN]).astype("float32"),
        "candidate_slot": codes(SLOTS, of.values["candidate_slot"], [size, SHOWN]),
        "n_items": rng.integers(1, SHOWN + 1, size).astype("int32"),
        "label_click": rng.integers(0, 2, [size, SHOWN]).astype("float32"),
    }
