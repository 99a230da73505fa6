"""A learning rate schedule that begins later."""

from typing import Any

import keras


@keras.saving.register_keras_serializable(package="tfmm")
class Restarted(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule that counts from a later step: `rate(step) = schedule(step - start)`.

    The bias correction of Adam counts all steps ever taken; the schedule of a day
    counts the day's.

    Args:
        schedule: A Keras schedule.
        start: int. The step that is its step 0.

    Example:
        >>> decay = keras.optimizers.schedules.PolynomialDecay(1.0, 10, 0.0)
        >>> float(Restarted(decay, start=100)(105))
        0.5
    """

    def __init__(
        self, schedule: keras.optimizers.schedules.LearningRateSchedule, start: int
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self.start = int(start)

    def __call__(self, step: Any) -> Any:
        return self.schedule(step - self.start)

    def get_config(self) -> dict[str, Any]:
        serialize = keras.saving.serialize_keras_object
        return {"schedule": serialize(self.schedule), "start": self.start}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> "Restarted":
        restore = keras.saving.deserialize_keras_object
        return cls(restore(config["schedule"]), config["start"])
