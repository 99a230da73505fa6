"""What an encoder reads of item records, and digests by which a change is seen."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tfmm.records.example_columns import single_values

DIGEST_BYTES = 16
# An encoder's inputs, and where an item record keeps them.
_FIELDS = {"image_bytes": "image", "title": "title"}


@dataclass(frozen=True)
class EncoderInputs:
    """Items as an encoder takes them.

    Attributes:
        rows: int64 `[B]`, catalog rows.
        media: Per input of the encoder, every item's, empty where it has none.
        digests: uint8 `[B, 16]`, of all media of an item; never all zeros.
    """

    rows: np.ndarray
    media: Mapping[str, Sequence[bytes]]
    digests: np.ndarray

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: np.ndarray | slice) -> "EncoderInputs":
        chosen = np.arange(len(self))[places].tolist()
        media = {name: [data[at] for at in chosen] for name, data in self.media.items()}
        return EncoderInputs(self.rows[places], media, self.digests[places])

    def given(self, inputs: Sequence[str]) -> np.ndarray:
        """Which items have any of these inputs, bool `[B]`."""
        found = [[bool(each) for each in self.media[name]] for name in inputs]
        return np.any(np.array(found, bool).reshape(len(inputs), len(self)), axis=0)


def inputs_of(records: Sequence[bytes], inputs: Sequence[str]) -> EncoderInputs:
    """Reads item records.

    Args:
        records: Serialized records.
        inputs: Names of the encoder's inputs.

    Raises:
        TfmmError: If a record is damaged.

    Example:
        >>> from tfmm.records.example import encode
        >>> records = [encode({"row": np.array([2]), "title": [title]})
        ...     for title in (b"hat", b"")]
        >>> found = inputs_of(records, ["title"])
        >>> found.media, found.given(["title"]).tolist()
        ({'title': [b'hat', b'']}, [True, False])
    """
    texts, rows = single_values(records, [_FIELDS[name] for name in inputs], "row")
    media = {name: texts[_FIELDS[name]] for name in inputs}
    return EncoderInputs(rows, media, digests(list(media.values()), len(rows)))


def digests(media: Sequence[Sequence[bytes]], items: int) -> np.ndarray:
    """Digest of each item's media, uint8 `[items, 16]`.

    Lengths are part of it, so that nothing moves from one input to the next unseen.

    Args:
        media: Inputs, each with the media of all items.
        items: Their number.
    """
    found = bytearray()
    for item in zip(*media, strict=True):
        digest = hashlib.sha256(np.array([*map(len, item)], "<i8").tobytes())
        for data in item:
            digest.update(data)
        found += digest.digest()[:DIGEST_BYTES]
    return np.frombuffer(bytes(found), np.uint8).reshape(items, DIGEST_BYTES)


def unchanged(batch: EncoderInputs, earlier: np.ndarray) -> np.ndarray:
    """Which items have the media that an earlier run saw, bool `[B]`.

    Args:
        batch: The items.
        earlier: uint8 `[rows, 16]`, digests by catalog row, zeros where it saw none.
    """
    known = (batch.rows >= 0) & (batch.rows < len(earlier))
    known[known] = (batch.digests[known] == earlier[batch.rows[known]]).all(axis=1)
    return known


def rebatched(parts: Iterable[EncoderInputs], size: int) -> Iterator[EncoderInputs]:
    """The same items in batches of a size; the last one may be smaller."""
    waiting: list[EncoderInputs] = []
    count = 0
    for part in parts:
        waiting.append(part)
        count += len(part)
        while count >= size:
            whole = _end_to_end(waiting)
            yield whole[:size]
            waiting, count = [whole[size:]], count - size
    if count:
        yield _end_to_end(waiting)


def _end_to_end(parts: Sequence[EncoderInputs]) -> EncoderInputs:
    media = {
        name: [each for part in parts for each in part.media[name]]
        for name in parts[0].media
    }
    return EncoderInputs(
        np.concatenate([part.rows for part in parts]),
        media,
        np.concatenate([part.digests for part in parts]),
    )
