"""Pair records as batches for SCL."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfmm.data.item_batches import check_encoders
from tfmm.data.item_media import MEDIA, ItemMedia
from tfmm.data.pair_folder import check_lineage, open_pairs
from tfmm.data.pair_order import PairOrder
from tfmm.data.pair_stream import Augment, Batches, Stream
from tfmm.data.word_mask import mask_words as masked
from tfmm.data.word_mask import word_marks
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.leak import check_items, check_pairs
from tfmm.records.sources import SOURCES, check_sources


def pairs(
    folder: str | Path,
    items_folder: str | Path,
    image: Any = None,
    text: Any = None,
    vector: Any = None,
    batch_size: int = 256,
    shuffle: bool = True,
    seed: int = 0,
    start_epoch: int = 0,
    start_step: int = 0,
    drop_remainder: bool = False,
    window: int = 16_384,
    augment: Augment | None = None,
    mask_words: float = 0.0,
    sources: Sequence[str] | None = None,
    not_after: int | None = None,
    not_in: str | Path | None = None,
    index: ItemIndex | None = None,
) -> tf.data.Dataset:
    """Pairs joined with the media of their items, preprocessed for the towers.

    Each iteration of the data set is an epoch with an order of its own, a function
    of `seed` and the epoch's number alone: files are shuffled, then records within
    windows. So are all draws: one of a pair's clicked-not-bought items as its hard
    negative, and one of the pictures and titles of the item and of the negative,
    where they have several.

    The query of a search is what was searched for; that of a clicked item or of the
    item itself are that item's own picture and title, and its vector.

    Args:
        folder: Pair records, with their manifest.
        items_folder: Item records; their encoded media are held in memory.
        image: An image encoder, or `None` to leave pictures out.
        text: A text encoder, or `None` to leave titles out.
        vector: An encoder of precomputed vectors, or `None`.
        batch_size: Pairs per batch.
        shuffle: False keeps the records' order, the draw of epoch 0, and the first
            picture and title of every item: for evaluation.
        seed: Of order, draws and augmentation.
        start_epoch: The number of the first epoch, to resume.
        start_step: The first batch of that epoch; later epochs are whole.
        drop_remainder: Whether to leave the last, smaller batch out.
        window: How many records are shuffled together.
        augment: From pictures uint8 `[n, S, S, 3]` and `seed=` int64 `[2]` to
            pictures, e.g. `tfmm.pretrain.augment_pictures`.
        mask_words: Share of the tokens that a mask replaces, where `shuffle` is true:
            in queries, items and negatives alike, so that no mask tells them apart.
        sources: Which of `tfmm.records.sources.SOURCES` to read; all when absent.
        not_after: The first moment of the test, in microseconds; pairs of that moment
            or later are refused, and searches without a time.
        not_in: The test's pair records; pairs of an item with itself that are among
            them are refused.
        index: The item index, for vectors of items that only logs know.

    Returns:
        A data set of dicts. Who is who, int32 `[B]` and 0 where there is nobody:
        `source` (place in `SOURCES`), `item`, `negative` (catalog rows), `group`,
        `query_group`, `negative_group` (see `tfmm.records.groups`); int32 `[B, P]`:
        `positives`, the groups of what else was bought in the search. For each
        modality and each of query, item and negative: `<part>_<modality>`, the
        tower's input, and `has_<part>_<modality>` bool `[B]`.

        It has `num_pairs`, and `at(epoch, step)`: the same data set from there, bit
        for bit. Its length is known where it starts with a whole epoch.

    Raises:
        TfmmError: If there is no encoder, no pair, a folder is not a finished output,
            the folders are of different item indexes, or a pair is the test's.
    """
    encoders = check_encoders(image, text, vector)
    _check_sizes(batch_size, window, start_epoch, start_step, mask_words)
    check_lineage(folder, items_folder)
    if not_after is not None:
        check_pairs(folder, not_after)
    if not_in is not None:
        check_lineage(folder, not_in)
        check_items(folder, not_in)
    files, count = open_pairs(folder, sources)
    media = ItemMedia(items_folder, [name for name in MEDIA if name in encoders])
    codes = (
        [SOURCES.index(name) for name in check_sources(sources)] if sources else None
    )
    order = PairOrder(files, window if shuffle else 0, seed, codes)
    vectors = None
    if vector is not None:
        table, present = vector.rows(index or media.index())
        # Eager tensors: inside a traced function they would become constants in it.
        vectors = tf.constant(table), tf.constant(present)
    share = mask_words if shuffle and text is not None else 0.0
    batches = Batches(
        encoders=encoders,
        media=media,
        vectors=vectors,
        seed=seed,
        training=shuffle,
        augment=augment,
        mask=partial(_masked, share, *word_marks(text)) if share else None,
    )
    return Stream(order, batches, count, batch_size, drop_remainder, shuffle).at(
        start_epoch, start_step
    )


def _masked(
    share: float, mask_id: int, special: Sequence[int], ids: tf.Tensor, seed: tf.Tensor
) -> tf.Tensor:
    return masked(ids, seed, share, mask_id, special)


def _check_sizes(
    batch_size: int, window: int, epoch: int, step: int, mask_words: float
) -> None:
    if batch_size < 1 or window < 1:
        raise TfmmError(
            "`batch_size` and `window` must be positive. Received: "
            f"batch_size={batch_size}, window={window}."
        )
    if epoch < 0 or step < 0:
        raise TfmmError(
            "An epoch and a step count from 0. Received: "
            f"start_epoch={epoch}, start_step={step}."
        )
    if not 0 <= mask_words < 1:
        raise TfmmError(
            f"`mask_words` is a share below 1. Received: {mask_words}. Use 0.15 or so."
        )
