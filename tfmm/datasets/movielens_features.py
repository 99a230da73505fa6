"""What was known of a user and an item before each rating."""

import numpy as np

LIKED = 4.0
"""Ratings from here on are positives."""
USER_PRIOR, ITEM_PRIOR = 5.0, 10.0
"""Weights of the overall like rate in the smoothed means."""
_RATING_PRIOR, _GAP_PRIOR = 3.0, 5.0
_MIDDLE_RATING = 3.5


def as_of(
    user: np.ndarray,
    item: np.ndarray,
    time: np.ndarray,
    rating: np.ndarray,
    train: np.ndarray,
) -> dict[str, np.ndarray]:
    """Features of each rating, from training ratings strictly earlier.

    With n training ratings of the user (or item) before the moment, s likes among
    them, and all users' N training ratings before it, S likes among them:

        p     = (S + 1) / (N + 2)
        mean  = (s + k p) / (n + k)          k = 5 for users, 10 for items
        count = log(1 + n)

    `user_rating` is the mean of the user's n earlier ratings together with 3 of the
    overall mean rating (itself with one rating of 3.5). `item_gap` is how far the
    item's raters were above their own `user_rating` on average, together with 5 gaps
    of 0. Ratings of the same moment do not count.

    Args:
        user: int64 `[R]`.
        item: int64 `[R]`.
        time: int64 `[R]`, the moment that each rating's features are of.
        rating: float `[R]`; 4 and more is a like.
        train: bool `[R]`, whether the split rule gives the rating to training.

    Returns:
        `user_mean`, `user_count`, `user_rating`, `item_mean`, `item_count`,
        `item_gap`: float32 `[R]`.

    Example:
        >>> one, train = np.zeros(3, np.int64), np.ones(3, bool)
        >>> known = as_of(one, one, np.array([1, 2, 2]), np.array([5.0, 1, 4]), train)
        >>> np.expm1(known["user_count"]).round(3).tolist()
        [0.0, 1.0, 1.0]
    """
    likes, seen = (rating >= LIKED) * train, train.astype(np.int64)
    everybody = np.zeros(len(user), np.int64)
    seen_by_all = before(everybody, time, seen)
    rate = (before(everybody, time, likes) + 1) / (seen_by_all + 2)
    level = before(everybody, time, rating * train) + _MIDDLE_RATING
    level = level / (seen_by_all + 1)

    of_user, of_item = before(user, time, seen), before(item, time, seen)
    user_likes, item_likes = before(user, time, likes), before(item, time, likes)
    total = before(user, time, rating * train)
    own_level = (total + _RATING_PRIOR * level) / (of_user + _RATING_PRIOR)
    gaps = before(item, time, (rating - own_level) * train)
    features = {
        "user_mean": (user_likes + USER_PRIOR * rate) / (of_user + USER_PRIOR),
        "user_count": np.log1p(of_user),
        "user_rating": own_level,
        "item_mean": (item_likes + ITEM_PRIOR * rate) / (of_item + ITEM_PRIOR),
        "item_count": np.log1p(of_item),
        "item_gap": gaps / (of_item + _GAP_PRIOR),
    }
    return {name: values.astype(np.float32) for name, values in features.items()}


def before(group: np.ndarray, time: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Sum of `value` over the rows of the same group with a smaller time.

    Args:
        group: `[R]`, any sortable keys.
        time: int64 `[R]`.
        value: `[R]`.

    Example:
        >>> one = np.ones(3, np.int64)
        >>> before(one, np.array([2, 1, 2]), one).tolist()
        [1, 0, 1]
    """
    order = np.lexsort((time, group))
    group_sorted, time_sorted = group[order], time[order]
    new_group = np.ones(len(order), bool)
    new_group[1:] = group_sorted[1:] != group_sorted[:-1]
    new_moment = new_group.copy()
    new_moment[1:] |= time_sorted[1:] != time_sorted[:-1]
    sums = np.concatenate([[0], np.cumsum(value[order])])
    place = np.arange(len(order))
    moment_start = np.maximum.accumulate(np.where(new_moment, place, 0))
    group_start = np.maximum.accumulate(np.where(new_group, place, 0))
    result = np.empty(len(order), sums.dtype)
    result[order] = sums[moment_start] - sums[group_start]
    return result
