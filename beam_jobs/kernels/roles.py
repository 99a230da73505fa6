"""Which role of the impressions is behind a feature of timeline records."""

_PREFIXES = {"label_": "label:", "candidate_": "features:", "context_": "context:"}
_SAME = ("item", "position", "base_score", "weight")


def role_of(name: str) -> str | None:
    """The role behind a feature; `None` where no column of impressions is.

    Example:
        >>> role_of("label_click"), role_of("position"), role_of("event_time")
        ('label:click', 'position', None)
    """
    for prefix, role in _PREFIXES.items():
        if name.startswith(prefix):
            return role + name.removeprefix(prefix)
    return name if name in _SAME else None
