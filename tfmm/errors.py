"""The one error that tfmm raises for what a user can mend."""


class TfmmError(ValueError):
    """Says what is wrong, what was received and what to do next.

    The command line prints its message without a traceback.

    Example:
        >>> raise TfmmError("`tiers` must be positive. Received: tiers=0.")
        Traceback (most recent call last):
        ...
        tfmm.errors.TfmmError: `tiers` must be positive. Received: tiers=0.
    """
