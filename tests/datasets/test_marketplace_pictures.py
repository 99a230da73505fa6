"""Pictures show their attributes, in the shop's view and in a shopper's."""

import io
import itertools

import numpy as np
import pytest
from PIL import Image

from tfmm.datasets.marketplace_pictures import draw, shop_view, shopper_view
from tfmm.datasets.marketplace_words import ATTRIBUTES, search_words, titles


def pixels(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg))).astype(float)


@pytest.mark.parametrize("make", [shop_view, shopper_view])
def test_every_combination_is_drawn_inside_the_picture(make):
    rng = np.random.default_rng(0)
    for shape, pattern, style in itertools.product(range(12), range(6), range(3)):
        jpeg = draw([shape, 5, pattern, style], 0, (0, 0, 0), make(rng), 32)
        assert pixels(jpeg).shape == (32, 32, 3)


@pytest.mark.parametrize("attribute", range(4))
def test_each_attribute_can_be_seen(attribute):
    view = shop_view(np.random.default_rng(0))
    one = [4, 5, 1, 1]
    other = list(one)
    other[attribute] = 0
    images = [pixels(draw(a, 0, (0, 0, 0), view, 64)) for a in (one, one, other)]
    assert np.abs(images[0] - images[1]).max() == 0
    assert np.abs(images[0] - images[2]).mean() > 4


def test_a_plain_product_has_its_colour_in_the_middle():
    red, _, blue = range(3)
    jpeg = draw([9, 0, 0, 1], 0, (0, 0, 0), shop_view(np.random.default_rng(1)), 64)
    patch = pixels(jpeg)[36:44, 36:44].mean(axis=(0, 1))
    assert patch[red] > 150 > 80 > patch[blue]


def test_words_name_the_attributes_by_synonyms():
    rng = np.random.default_rng(0)
    attributes = np.tile([1, 0, 2, 0], (300, 1))
    for texts in (
        titles(rng, attributes, np.zeros(300, int)),
        search_words(rng, attributes),
    ):
        assert len(set(texts)) > 50
        for values, value in zip(ATTRIBUTES, (1, 0, 2, 0), strict=True):
            synonyms = list(values.values())[value]
            said = np.mean([any(word in text for word in synonyms) for text in texts])
            assert said > 0.4
