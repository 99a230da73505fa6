"""Turns searches, clicks and items into pair records for SCL."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import apache_beam as beam

from beam_jobs import common
from beam_jobs.item_facts import ReadItemFacts
from beam_jobs.pair_counts import source_counts
from beam_jobs.pair_rows import (
    PairsOfItems,
    PairsOfSearches,
    WriteShard,
)
from beam_jobs.search_split import roles_read, split_of_searches
from beam_jobs.split_check import PARTS, refuse_late_searches
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import read_manifest, write_manifest, writing
from tfmm.records.sources import DIRECTIONS, QUERIES, check_sources, describe
from tfmm.schema import Schema

KIND = "pairs"
ITEM_TEST_SHARE = 0.05
# By source: its pairs, and what they can be used for.
Counts = dict[str, dict[str, int]]


def run(
    schema: str,
    index: str,
    output: str,
    items: str | None = None,
    sources: Sequence[str] = ("search",),
    item_test_share: float = ITEM_TEST_SHARE,
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
        pipeline_args: Flags for Beam.

    Raises:
        TfmmError: If the schema or the arguments lack what a source needs, or a
            supplied training part has searches of the test.
    """
    shop = Schema.from_yaml(schema)
    chosen = _checked(shop, schema, items, sources)
    opened = ItemIndex.open(index)
    split = split_of_searches(shop)
    if shop.searches is not None and shop.searches.part:
        refuse_late_searches(shop, split)
    with writing(output) as tmp:
        for part in PARTS:
            (tmp / part).mkdir()
        pipeline = beam.Pipeline(options=common.options(pipeline_args))
        facts = None
        if items is not None:
            facts = pipeline | ReadItemFacts(items, opened)
        found_pairs, letters = [], []
        if shop.searches is not None and set(chosen) != {"item"}:
            read = pipeline | common.ReadTable(shop, "searches", roles_read(shop))
            side = [] if facts is None else [beam.pvalue.AsSingleton(facts)]
            made = read.chunks | "Pairs" >> beam.ParDo(
                PairsOfSearches(shop, index, split, chosen), *side
            ).with_outputs(common.DEAD, main="rows")
            found_pairs.append(made.rows)
            letters += [read[common.DEAD], made[common.DEAD]]
        if "item" in chosen:
            own = facts | "Items" >> beam.ParDo(PairsOfItems(item_test_share))
            found_pairs.append(own)
        _ = (
            found_pairs
            | "All pairs" >> beam.Flatten()
            | "By shard" >> beam.GroupByKey()
            | "Write" >> beam.ParDo(WriteShard(str(tmp)))
        )
        if letters:
            _ = letters | "Letters" >> beam.Flatten() | common.WriteDeadLetters(tmp)
        found = common.finished(pipeline)
        whats = QUERIES if items is None else (*QUERIES, *DIRECTIONS)
        _write_manifests(
            tmp,
            _tables(shop, found, chosen),
            {part: source_counts(found, part, chosen, whats) for part in PARTS},
            first_test=split.first_test,
            index=opened.stamp(),
        )
    return read_manifest(output)


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
            "counts": common.table_counts(found, "searches"),
            "pictures": common.table_counts(found, "pictures"),
            "parts": {part: found.get(f"searches:{part}", 0) for part in PARTS},
        }
        if shop.searches.clicked:
            tables["clicked"] = common.table_counts(found, "clicked")
    if "item" in sources:
        tables["item_pairs"] = common.table_counts(found, "items")
    return tables


def _write_manifests(
    folder: Path, tables: dict[str, Any], by_part: dict[str, Counts], **facts: Any
) -> None:
    for part, counts in by_part.items():
        write_manifest(
            folder / part,
            kind=KIND,
            counts={"written": _pairs(counts)},
            sources=counts,
            **facts,
        )
    write_manifest(
        folder,
        kind="pair_sets",
        **tables,
        pairs={part: _pairs(counts) for part, counts in by_part.items()},
        sources=_summed(by_part.values()),
        **facts,
    )


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
    arguments = common.parser(__doc__)
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


def _run_and_tell(**arguments: Any) -> dict[str, Any]:
    manifest = run(**arguments)
    print(describe(manifest["sources"]))
    return manifest


if __name__ == "__main__":
    common.main(_arguments(), _run_and_tell)
