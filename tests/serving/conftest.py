"""Makes `toy_ranker` importable and exports it once."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "export"))


@pytest.fixture(scope="session")
def toy():
    import toy_ranker

    return toy_ranker


@pytest.fixture(scope="session")
def exported(toy, tmp_path_factory):
    """(ranker, folder of models) with the ranker's version 1."""
    from tfmm.export import export_ranker

    ranker = toy.ToyRanker()
    ranker(toy.batch())
    base = tmp_path_factory.mktemp("saved_models")
    export_ranker(ranker, base, toy.index(), toy.VOCABULARIES, toy.request())
    return ranker, base
