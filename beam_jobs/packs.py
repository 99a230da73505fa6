"""Packs: what a chunk has for every shard, in one file; only places of it travel.

Beam keeps what it groups in memory, or sends it over the network, so pictures never
are grouped: a worker writes those of a chunk to a file of the work folder, shard by
shard, and a shard reads its stretch of every pack. Packs are units of work: what a
killed job packed is not made again.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from beam_jobs import files
from beam_jobs.work import PACKS, Unit, Work


def write_pack(unit: Unit, key: str, sections: Mapping[Any, bytes]) -> None:
    """Writes a pack, and where each shard's section lies in it.

    Two attempts at one chunk may differ, for pictures come from the network: a pack's
    name tells its content, so that a place always leads to what it was made for.

    Args:
        unit: The unit of the chunk.
        key: Its key.
        sections: Shard -> its bytes, in the order of the file.
    """
    digest = hashlib.sha256()
    places, start = [], 0
    for shard, section in sections.items():
        digest.update(section)
        places.append((shard, start, len(section)))
        start += len(section)
    name = f"{key}-{digest.hexdigest()[:16]}.pack"
    unit.write(name, sections.values(), PACKS)
    index = json.dumps({"pack": name, "places": places})
    unit.write(f"{key}.json", [index.encode()], PACKS)


def places(work: Work, key: str) -> Iterator[tuple[Any, bytes]]:
    """What travels of a finished pack: every shard, and the place of its section."""
    found = json.loads(files.read(work.path(PACKS, f"{key}.json")))
    for shard, start, size in found["places"]:
        yield shard, f"{found['pack']} {start} {size}".encode()


def read_sections(work: Work, places: Iterable[bytes]) -> Iterator[bytes]:
    """The sections at these places, in the order of packs."""
    for place in sorted(places):
        pack, start, size = place.decode().split(" ")
        yield files.read_range(work.path(PACKS, pack), int(start), int(size))
