"""Blocks of item vectors as files of a job's work."""

from collections.abc import Iterator

from beam_jobs import files
from beam_jobs.kernels.vector_blocks import Block, to_npz
from beam_jobs.work import PACKS, Work

_SUFFIX = ".npz"


def write_block(keyed: tuple[str, Block], work: Work) -> None:
    """Writes a block as a unit of work.

    Args:
        keyed: The unit's name, and the block.
        work: The job's work.
    """
    key, block = keyed
    with work.unit(key) as unit:
        unit.write(key + _SUFFIX, [to_npz(block)], PACKS)


def blocks_of(work: Work) -> Iterator[bytes]:
    """The content of all blocks."""
    for name in files.names(work.path(PACKS), _SUFFIX):
        yield files.read(work.path(PACKS, name))
