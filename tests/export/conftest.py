"""The toy ranker, exported once."""

from export import exported_ranker

toy, exported = exported_ranker.toy, exported_ranker.exported
