"""A word-piece vocabulary from a shop's own titles."""

import random
import string
import unicodedata
from collections import Counter
from collections.abc import Iterable

import keras_hub
import tensorflow as tf

from tfmm.encoders.byte_pieces import BYTES
from tfmm.encoders.titles import SPECIAL, normalise_titles
from tfmm.errors import TfmmError

MAX_TITLES = 50_000
LETTERS = 1_000


def learn_vocabulary(
    titles: Iterable[str | bytes],
    size: int = 8_000,
    max_titles: int = MAX_TITLES,
    seed: int = 0,
) -> list[str]:
    """Learns the word pieces that spell titles shortest.

    Whatever the titles, the letters a-z, the digits and the 1,000 letters seen most
    often are in the vocabulary, as first and as later piece of a word, so that new
    words can be spelt; further letters are, the most frequent first, while there are
    fewer than `size` pieces. So are the punctuation of ASCII and the 256 byte pieces
    `<0x00>` to `<0xFF>`, with which all other letters are spelt.

    Args:
        titles: Titles in any order; read once.
        size: Pieces to learn, the special ones included; single letters that have to
            be added and the byte pieces come on top. Chinese and Japanese titles need
            one for each of their thousands of letters.
        max_titles: Learn from a random sample of this many.
        seed: Of the sample.

    Raises:
        TfmmError: If there is no title that is not empty.

    Example:
        >>> vocabulary = learn_vocabulary(["red shoe", "red hat"] * 10, size=50)
        >>> vocabulary[:4], "red" in vocabulary, "##x" in vocabulary
        (['[PAD]', '[UNK]', '[CLS]', '[SEP]'], True, True)
    """
    sample = _sample((title for title in titles if title.strip()), max_titles, seed)
    if not sample:
        raise TfmmError(
            "A vocabulary needs titles to learn from. Received: no title that is not "
            "empty. Give the items' titles, or a `vocabulary`."
        )
    data = tf.data.Dataset.from_tensor_slices(sample).batch(1024).map(normalise_titles)
    pieces = keras_hub.tokenizers.compute_word_piece_vocabulary(
        data.unbatch(), size, reserved_tokens=list(SPECIAL)
    )
    seen = _letters(data)
    letters = {piece.removeprefix("##") for piece in pieces}
    letters = {letter for letter in letters if len(letter) == 1}
    letters |= set(string.ascii_lowercase + string.digits + "".join(seen[:LETTERS]))
    spelling = [form for x in sorted(letters) for form in (x, f"##{x}")]
    pieces = list(dict.fromkeys([*pieces, *spelling]))
    # The learner leaves further letters out.
    rare = [form for x in seen if x not in letters for form in _forms(x)]
    rare = rare[: max(size - len(pieces), 0)]
    return list(dict.fromkeys([*pieces, *rare, *string.punctuation, *BYTES]))


def _letters(data: tf.data.Dataset) -> list[str]:
    """What titles are spelt with, the most frequent first, ASCII's marks left out."""
    seen: Counter[str] = Counter()
    for titles in data.as_numpy_iterator():
        seen.update(b"".join(titles).decode())
    marks = set(string.punctuation)
    kept = [x for x in seen if x.isprintable() and not x.isspace() and x not in marks]
    return sorted(kept, key=lambda letter: (-seen[letter], letter))


def _forms(letter: str) -> tuple[str, ...]:
    """An ideograph is a word of its own; other letters come inside words too."""
    ideograph = unicodedata.name(letter, "").startswith("CJK UNIFIED")
    return (letter,) if ideograph else (letter, f"##{letter}")


def _sample(titles: Iterable[str | bytes], count: int, seed: int) -> list[str | bytes]:
    """A uniform sample in one pass (reservoir), the same for the same input."""
    draw = random.Random(seed)
    kept: list[str | bytes] = []
    for place, title in enumerate(titles):
        if place < count:
            kept.append(title)
        elif (other := draw.randrange(place + 1)) < count:
            kept[other] = title
    return kept
