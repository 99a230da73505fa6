"""Every row in exactly one shard; files, chunks and their order never matter."""

import tempfile
from itertools import pairwise

import big_log
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shop
from hypothesis import given, settings
from hypothesis import strategies as st
from random_log import TYPES, random_log, schema

from beam_jobs import behaviours, files
from beam_jobs.chunks import by_shard, joined, to_bytes, to_table
from beam_jobs.job import Control
from beam_jobs.stretch import EVERYTHING
from beam_jobs.timeline_shards import WriteShard
from beam_jobs.work import Work, whole_units
from tfmm.records.spec import RequestSpec

SEEDS = st.integers(0, 2**32 - 1)


@given(
    keys=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=50),
    shards=st.sampled_from([1, 2, 8, 255, 256, 99_999]),
)
def test_every_row_is_in_the_shard_of_its_key(keys, shards):
    table = pa.table({"place": np.arange(len(keys))})
    found = dict(by_shard(table, np.array(keys, np.int64), shards))
    reference = {}
    for place, key in enumerate(keys):
        reference.setdefault(key % shards, []).append(place)
    assert {n: part["place"].to_pylist() for n, part in found.items()} == reference


@given(sizes=st.lists(st.integers(0, 5), max_size=6), packed=st.booleans())
def test_chunks_keep_all_rows(sizes, packed):
    rows = iter(range(sum(sizes)))
    tables = [
        pa.table({"x": pa.array([next(rows) for _ in range(size)], pa.int64())})
        for size in sizes
    ]
    chunks = [to_bytes(table, "lz4" if packed else None) for table in tables]
    assert [to_table(chunk) for chunk in chunks] == tables
    whole = joined(chunks)
    assert (whole["x"].to_pylist() if sizes else whole or []) == [*range(sum(sizes))]


def written(log, rng=None):
    """A shard's files and counters; with `rng`, its rows and chunks are mixed."""
    chunks = [("", b"")]
    for name, table in zip(("impressions", "events"), log, strict=True):
        size = table.num_rows
        cuts = [0, size]
        if rng is not None:
            table = table.take(pa.array(rng.permutation(size)))
            cuts += rng.integers(0, size + 1, 2).tolist()
        chunks += [
            (name, to_bytes(table.slice(start, end - start).drop_columns("source")))
            for start, end in pairwise(sorted(cuts))
            if end > start
        ]
    if rng is not None:
        rng.shuffle(chunks)
    rule = schema(request="r", position="p")
    spec = RequestSpec(9, 9, 9, (), TYPES, ("click",), 4, 3, position=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Work(folder, 1)
        list(WriteShard(rule, spec, work, EVERYTHING).process((0, chunks)))
        names = files.below(work.path("out"))
        out = {name: files.read(work.path("out", name)) for name in names}
        return out, whole_units(folder)["shard-00000"]["counts"]


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS, mixing=SEEDS)
def test_a_shard_is_the_same_whatever_its_chunks(seed, mixing):
    log = random_log(seed, rows=40)
    assert written(log, np.random.default_rng(mixing)) == written(log)


@pytest.mark.slow
def test_rows_may_lie_in_any_file(tmp_path):
    """The whole job: rows mixed within and across files, and other files."""
    schema = big_log.write(tmp_path / "shop", 800, spoiled=False)
    arguments = big_log.prepare(schema, tmp_path / "made")
    behaviours.run(**arguments, output=str(tmp_path / "a"), control=Control(shards=2))
    paths = sorted((tmp_path / "shop").glob("impressions-*.parquet"))
    rows = pa.concat_tables(map(pq.read_table, paths))
    rows = rows.take(pa.array(np.random.default_rng(0).permutation(rows.num_rows)))
    for path in paths:
        path.unlink()
    for part, (start, size) in enumerate([(0, 5), (5, 500), (505, 295)]):
        path = tmp_path / f"shop/impressions-other{part}.parquet"
        pq.write_table(rows.slice(start, size), path)
    behaviours.run(**arguments, output=str(tmp_path / "b"), control=Control(shards=2))
    assert shop.content(tmp_path / "b") == shop.content(tmp_path / "a")
