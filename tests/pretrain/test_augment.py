import colorsys

import numpy as np
import tensorflow as tf

from tfmm.pretrain.augment import augment_pictures

SEED = tf.constant([1, 2])
STILL = {"crop": 0.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0}


def noise(count=4, size=16, seed=0):
    random = np.random.default_rng(seed)
    return random.integers(0, 256, (count, size, size, 3), "uint8")


def test_nothing_asked_nothing_changed():
    pictures = noise()
    made = augment_pictures(pictures, SEED, flip=False, **STILL)
    np.testing.assert_array_equal(made, pictures)


def test_half_are_mirrored():
    pictures = noise(200, 4)
    made = augment_pictures(pictures, SEED, **STILL).numpy()
    same = (made == pictures).all(axis=(1, 2, 3))
    mirrored = (made == pictures[:, :, ::-1]).all(axis=(1, 2, 3))
    assert (same | mirrored).all() and 70 < mirrored.sum() < 130


def test_each_effect_by_hand():
    # Two pixels of greys 40 and 120: the mean is 80.
    picture = np.zeros((64, 1, 2, 3), "uint8") + np.array([40, 120])[:, None]
    picture = picture.astype("uint8")
    one = STILL | {"brightness": 0.5}
    made = augment_pictures(picture, SEED, flip=False, **one).numpy().astype(float)
    light = made[:, 0, 1, 0] / 120
    assert light.min() > 0.49 and light.max() < 1.51 and light.std() > 0.2
    np.testing.assert_allclose(made[:, 0, 0, 0], 40 * light, atol=1)
    one = STILL | {"contrast": 0.5}
    made = augment_pictures(picture, SEED, flip=False, **one).numpy().astype(float)
    np.testing.assert_allclose(made[:, 0].mean(axis=1), 80, atol=1)
    spread = (made[:, 0, 1, 0] - made[:, 0, 0, 0]) / 80
    assert spread.min() > 0.47 and spread.max() < 1.53 and spread.std() > 0.2
    one = STILL | {"saturation": 0.5}
    np.testing.assert_allclose(
        augment_pictures(picture, SEED, flip=False, **one), picture, atol=1
    )


def test_hue_stays():
    colour = np.full((64, 2, 2, 3), [160, 100, 60], "uint8")
    made = augment_pictures(colour, SEED, strength=2.0).numpy()
    hues = [colorsys.rgb_to_hsv(*pixel)[0] for pixel in made[:, 0, 0] / 255]
    np.testing.assert_allclose(hues, colorsys.rgb_to_hsv(160, 100, 60)[0], atol=0.01)
    assert len({tuple(pixel) for pixel in made[:, 0, 0].tolist()}) > 30


def test_strength_is_how_far_pictures_go():
    pictures = noise(16, 16)
    smooth = tf.cast(
        tf.image.resize(tf.image.resize(pictures, [3, 3]), [16, 16]), "uint8"
    )

    def change(strength):
        made = augment_pictures(smooth, SEED, strength=strength, flip=False)
        return np.abs(made.numpy().astype(float) - smooth.numpy()).mean()

    assert 0 == change(0.0) < change(1.0) < change(4.0)
    assert augment_pictures(smooth, SEED, strength=99.0).shape == smooth.shape


def test_one_picture_twice_has_two_draws():
    pictures = np.repeat(noise(1), 2, axis=0)
    one, two = augment_pictures(pictures, SEED).numpy()
    assert (one != two).any()
    again = augment_pictures(pictures, SEED).numpy()
    np.testing.assert_array_equal(again[0], one)
