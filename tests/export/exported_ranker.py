"""Fixtures of the toy ranker, for the rooms that export and serve it."""

import pytest


@pytest.fixture(scope="session")
def toy():
    from export import toy_ranker

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
