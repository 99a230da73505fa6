"""The split rule: which requests train, validate and test."""

import numpy as np

TRAIN, VALIDATION, TEST = 0, 1, 2
SPLITS = ("train", "validation", "test")


def global_time(
    time: np.ndarray, validation_from: int | None, test_from: int
) -> np.ndarray:
    """Splits by two moments that hold for everybody.

    Args:
        time: int64 `[R]`, request times in microseconds.
        validation_from: First moment of validation; `None` for no validation part.
        test_from: First moment of the test.

    Returns:
        int8 `[R]`: 0 train, 1 validation, 2 test.

    Example:
        >>> global_time(np.array([1, 5, 9]), 4, 9).tolist()
        [0, 1, 2]
    """
    part = np.zeros(len(time), np.int8)
    if validation_from is not None:
        part[time >= validation_from] = VALIDATION
    part[time >= test_from] = TEST
    return part


def per_user_last_fraction(
    user: np.ndarray,
    time: np.ndarray,
    test_fraction: float,
    validation_fraction: float = 0.0,
) -> np.ndarray:
    """Splits every user's own moments: the last are the test.

    Of a user's R distinct moments in time order, the first
    `floor((1 - test - validation) * R)` train, the last `R - floor((1 - test) * R)`
    test. Rows of one moment stay together.

    Args:
        user: `[R]`, any sortable user keys.
        time: int64 `[R]`.
        test_fraction: Share of each user's moments for the test.
        validation_fraction: Share before them for validation.

    Returns:
        int8 `[R]`: 0 train, 1 validation, 2 test, in the order of the input.

    Example:
        >>> time = np.array([3, 1, 2, 2, 5])
        >>> per_user_last_fraction(np.zeros(5), time, 0.25).tolist()
        [0, 0, 0, 0, 2]
    """
    if len(user) == 0:
        return np.zeros(0, np.int8)
    order = np.lexsort((time, user))
    user_sorted, time_sorted = user[order], time[order]
    new_user = np.r_[True, user_sorted[1:] != user_sorted[:-1]]
    new_moment = new_user | np.r_[True, time_sorted[1:] != time_sorted[:-1]]
    moment = np.cumsum(new_moment) - 1
    user_number = np.cumsum(new_user) - 1
    first_moment = moment[new_user][user_number]
    moments = np.bincount(user_number[new_moment])[user_number]
    place = moment - first_moment
    part = np.zeros(len(user), np.int8)
    # Rounded first: 0.8 * 5 must be 4, not 3.9999999999999996.
    last_train = np.floor(
        np.round((1 - test_fraction - validation_fraction) * moments, 9)
    )
    last_known = np.floor(np.round((1 - test_fraction) * moments, 9))
    part[place >= last_train] = VALIDATION
    part[place >= last_known] = TEST
    result = np.empty_like(part)
    result[order] = part
    return result
