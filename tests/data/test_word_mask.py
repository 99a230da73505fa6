import tensorflow as tf
from pair_folders import Words

from tfmm.data.word_mask import mask_words, word_marks


def test_one_word_always_stays():
    ids = tf.constant([[2, 7, 8, 9, 3, 0]] * 50 + [[2, 3, 0, 0, 0, 0]] * 2)
    made = mask_words(ids, tf.constant([3, 4]), 0.99, 1, [0, 2, 3]).numpy()
    words = made[:50, 1:4]
    assert ((words != 1).sum(axis=1) >= 1).all() and (words == 1).mean() > 0.6
    assert made[50:].tolist() == ids[50:].numpy().tolist()
    assert word_marks(Words()) == (1, (0, 2, 3))
