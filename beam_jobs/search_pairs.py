"""Turns searches, clicks and items into pair records for SCL."""

from collections.abc import Iterable, Sequence
from typing import Any

import apache_beam as beam

from beam_jobs import command, files
from beam_jobs.counters import table_counts
from beam_jobs.item_facts import ReadItemFacts
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.media_rows import PackMedia, decoding_threads, rows_per_shard
from beam_jobs.pair_counts import source_counts
from beam_jobs.pair_rows import (
    NOTHING,
    PLACE,
    PairsOfItems,
    PairsOfSearches,
    WriteShard,
)
from beam_jobs.read_table import ReadTable
from beam_jobs.search_split import roles_read, split_of_searches
from beam_jobs.split_check import PARTS, refuse_late_searches
from beam_jobs.work import Work
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.sources import DIRECTIONS, QUERIES, check_sources, describe
from tfmm.schema import Schema

KIND = "pairs"
ITEM_TEST_SHARE = 0.05
_ROW_BYTES = 1_000
# By source: its pairs, and what they can be used for.
Counts = dict[str, dict[str, int]]


def run(
    schema: str,
    index: str,
    output: str,
    items: str | None = None,
    sources: Sequence[str] = ("search",),
    item_test_share: float = ITEM_TEST_SHARE,
    control: Control = DEFAULT,
    pipeline_args: Sequence[str] = (),
) -> dict[str, Any]:
    """Writes `train` and `test` pair records; returns their manifest.

    Pairs obey the split rule: with `global_time`, searches after the end of training
    are the test; with `per_user_last_fraction`, those after each user's own training
    moments, or without a `user` column the last fraction of all searches. A `part`
    that the searches supply goes before the rule, and must not break it. The
    manifests' `first_test` is the first moment of any test search: pairs that come
    without users can be judged by nothing else.

    Args:
        schema: Path of the schema file.
        index: Folder of the item index.
        output: Folder of the pair records.
        items: Folder of the item records; needed for `clicked` and `item`. With
            them, pairs are counted by what the towers can compare too.
        sources: Where pairs come from; see `tfmm.records.sources.check_sources`.
        item_test_share: Share of the pairs of items with themselves that is kept for
            the test, chosen by the items' groups.
        control: How the job runs.
        pipeline_args: Flags for Beam.

    Raises:
        TfmmError: If the schema or the arguments lack what a source needs, or a
            supplied training part has searches of the test.
    """
    shop = Schema.from_yaml(schema)
    chosen = _checked(shop, schema, items, sources)
    opened = ItemIndex.open(files.fetched(index))
    split = split_of_searches(shop)
    if shop.searches is not None and shop.searches.part:
        refuse_late_searches(shop, split)
    has_searches = shop.searches is not None and set(chosen) != {"item"}
    job = Job(
        "search_pairs",
        output,
        schema=shop,
        tables=["searches"] if has_searches else [],
        folders=[index, *([items] if items else [])],
        arguments={"sources": chosen, "item_test_share": item_test_share},
        control=control,
        pipeline_args=pipeline_args,
        row_bytes=_ROW_BYTES,
        rows_per_shard=_rows_per_shard(shop),
    )
    if job.said():
        return {}
    with job.running() as running:
        work = running.work
        facts = running.pipeline | ReadItemFacts(items, opened) if items else None
        made = [running.pipeline | "Seeds" >> _seeds(work)]
        if has_searches:
            side = [beam.pvalue.AsSingleton(facts)] if items else []
            threads = decoding_threads(job.options)
            packing = PairsOfSearches(shop, index, work, threads, split, chosen)
            made.append(
                running.pipeline
                | ReadTable(shop, "searches", work, roles_read(shop), ticks=False)
                | "Pairs" >> PackMedia(packing, *side)
                | "Places" >> beam.Map(_place)
            )
        if "item" in chosen:
            own = facts | "Items" >> beam.ParDo(PairsOfItems(work, item_test_share))
            made.append(own)
        _ = (
            made
            | "All pairs" >> beam.Flatten()
            | "By shard" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(WriteShard(work))
        )
        found = running.finish()
        whats = QUERIES if items is None else (*QUERIES, *DIRECTIONS)
        manifests = _manifests(
            _tables(shop, found, chosen),
            {part: source_counts(found, part, chosen, whats) for part in PARTS},
            first_test=split.first_test,
            index=opened.stamp(),
        )
        return running.commit(manifests)


def _rows_per_shard(shop: Schema) -> int:
    pictures = shop.searches is not None and shop.searches.query_image is not None
    return rows_per_shard(int(pictures), shop.media.image_size)


def _seeds(work: Work) -> beam.Create:
    """Keeps the group of a shard without pairs, so that every shard has its files."""
    seeds = [(shard, (NOTHING, b"")) for shard in work.left()]
    return beam.Create(seeds).with_output_types(tuple[int, tuple[str, bytes]])


def _place(packed: tuple[int, bytes]) -> tuple[int, tuple[str, bytes]]:
    shard, place = packed
    return shard, (PLACE, place)


def _checked(
    shop: Schema, path: str, items: str | None, sources: Sequence[str]
) -> tuple[str, ...]:
    """The sources, if the schema and the arguments have what they need."""
    chosen = check_sources(sources)
    table = shop.searches
    if table is None and set(chosen) != {"item"}:
        raise TfmmError(
            f"`{path}` has no `searches`, so there are no pairs to train towers on. "
            "Add the table, train on the items alone (sources: item), or bring "
            "vectors of your own: Catalog.from_vectors."
        )
    for source, has, roles in (
        ("search", table and (table.query_text or table.query_image), "a query column"),
        ("clicked", table and table.clicked, "a `clicked` column"),
    ):
        if source in chosen and not has:
            raise TfmmError(
                f"Pairs of the source `{source}` need {roles} in `searches`. Received: "
                f"`{path}` without one. Name the column, or leave the source out."
            )
    if items is None and set(chosen) != {"search"}:
        raise TfmmError(
            f"Pairs of clicks and items need to know the items. Received: sources "
            f"{', '.join(chosen)}, and no `items`. Pass the folder that `item_media` "
            "wrote."
        )
    return chosen


def _tables(
    shop: Schema, found: dict[str, int], sources: Sequence[str]
) -> dict[str, Any]:
    """The counts of every table that was read, by its name in the manifest."""
    tables: dict[str, Any] = {"counts": {}}
    if shop.searches is not None and set(sources) != {"item"}:
        tables = {
            "counts": table_counts(found, "searches"),
            "pictures": table_counts(found, "pictures"),
            "parts": {part: found.get(f"searches:{part}", 0) for part in PARTS},
        }
        if shop.searches.clicked:
            tables["clicked"] = table_counts(found, "clicked")
    if "item" in sources:
        tables["item_pairs"] = table_counts(found, "items")
    return tables


def _manifests(
    tables: dict[str, Any], by_part: dict[str, Counts], **facts: Any
) -> dict[str, dict[str, Any]]:
    """What the manifests say, by part."""
    parts = {
        part: {
            "kind": KIND,
            "counts": {"written": _pairs(counts)},
            "sources": counts,
            **facts,
        }
        for part, counts in by_part.items()
    }
    whole = {
        "kind": "pair_sets",
        **tables,
        "pairs": {part: _pairs(counts) for part, counts in by_part.items()},
        "sources": _summed(by_part.values()),
        **facts,
    }
    return {**parts, "": whole}


def _summed(parts: Iterable[Counts]) -> Counts:
    total: Counts = {}
    for counts in parts:
        for name, found in counts.items():
            for what, amount in found.items():
                own = total.setdefault(name, {})
                own[what] = own.get(what, 0) + amount
    return total


def _pairs(counts: Counts) -> int:
    return sum(found["pairs"] for found in counts.values())


def _arguments() -> Any:
    arguments = command.parser(__doc__)
    arguments.add_argument("--schema", required=True, help="the schema file")
    arguments.add_argument("--index", required=True, help="folder of the item index")
    arguments.add_argument("--output", required=True, help="folder of the records")
    arguments.add_argument("--items", help="folder of the item records")
    arguments.add_argument(
        "--sources", nargs="+", default=["search"], help="where pairs come from"
    )
    arguments.add_argument(
        "--item_test_share",
        type=float,
        default=ITEM_TEST_SHARE,
        help="share of the pairs of items with themselves kept for the test",
    )
    return arguments


def _said(manifest: dict[str, Any]) -> str:
    pairs = ", ".join(f"{part} {n:,}" for part, n in manifest["pairs"].items())
    return (
        f"{describe(manifest['sources'])}\nsearch_pairs: {pairs} pairs. Next: "
        "tfmm.data.pairs, or the stage `pretrain` of a recipe"
    )


if __name__ == "__main__":
    command.main(_arguments(), run, _said)
