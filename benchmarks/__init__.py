"""Measurements; each prints a table: `python -m benchmarks.NAME --size smoke`."""
