"""Blocks of item vectors as files of a job's work."""

from collections.abc import Iterator

from beam_jobs import files
from beam_jobs.kernels.vector_blocks import Block, to_npz
from beam_jobs.work import PACKS, Work

_SUFFIX = ".npz"


def write_block(block: Block, work: Work) -> None:
    """Writes a block under the name of its first row."""
    key = f"block-{block.rows[0]:012d}"
    with work.unit(key) as unit:
        unit.write(key + _SUFFIX, [to_npz(block)], PACKS)


def blocks_of(work: Work) -> Iterator[bytes]:
    """The content of all blocks."""
    for name in files.names(work.path(PACKS), _SUFFIX):
        yield files.read(work.path(PACKS, name))
