"""Data sets: a marketplace simulator, and readers of public data sets."""
