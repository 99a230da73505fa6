"""What a ranker costs, measured while it is trained."""

import keras
import numpy as np

from tfmm.evaluation import Cost
from tfmm.layers.frozen_vectors import FrozenVectors
from tfmm.road.cost import StepTimes, cost_of, read_cost, write_cost


class Model(keras.Model):
    """A dense layer over frozen vectors, held twice."""

    def __init__(self):
        super().__init__()
        self.vectors = {"image": FrozenVectors(rows=5, dimension=3)}
        self.again = self.vectors["image"]
        self.dense = keras.layers.Dense(1)

    def call(self, rows):
        return self.dense(keras.ops.cast(self.vectors["image"](rows).codes, "float32"))


def test_parameters_and_vectors_by_hand():
    model, steps = Model(), StepTimes()
    model.compile("sgd", "mse")
    rows = np.arange(4, dtype="int32")
    model.fit(rows, np.ones(4), batch_size=1, verbose=0, callbacks=[steps])
    cost = cost_of(model, steps)
    # 3 weights and a bias; 5 rows of 3 codes, a float32 and a bool
    assert cost.parameters == 4 and cost.vector_bytes == 5 * (3 + 4 + 1)
    assert 0 < cost.seconds_per_step < 5


def test_steps_are_medians_within_epochs(monkeypatch):
    clock = iter([0.0, 1.0, 2.0, 4.0, 100.0, 101.0])
    monkeypatch.setattr("tfmm.road.cost.time.perf_counter", lambda: next(clock))
    steps = StepTimes()
    assert steps.median == 0.0
    for batches in ([0, 1, 2, 3], [0, 2]):
        steps.on_epoch_begin(0)
        for batch in batches:
            steps.on_train_batch_end(batch)
    # 1, 1 and 2 seconds, then two steps in one second; not the pause between epochs
    assert steps.median == 1.0


def test_round_trip(tmp_path):
    assert read_cost(tmp_path) is None
    write_cost(tmp_path, Cost(0.5, 7, 9))
    assert read_cost(tmp_path) == Cost(0.5, 7, 9)
