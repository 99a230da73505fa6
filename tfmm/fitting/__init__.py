"""Fits that go on, after an interruption, at the very step where they stopped."""

from tfmm.fitting.checkpoints import fit_with_checkpoints

__all__ = ["fit_with_checkpoints"]
