"""Turns searches, clicks and items into pair records for SCL."""

from collections.abc import Mapping, Sequence
from typing import Any

import apache_beam as beam

from beam_jobs import command, files
from beam_jobs.item_facts import ReadItemFacts
from beam_jobs.job import DEFAULT, Control, Job
from beam_jobs.known_searches import KnownSearches
from beam_jobs.media_rows import PackMedia, decoding_threads, rows_per_shard
from beam_jobs.pair_manifests import manifests
from beam_jobs.pair_rows import PairsOfItems, PairsOfSearches
from beam_jobs.pair_shards import NOTHING, PLACE, WriteShard
from beam_jobs.purchase_join import JoinPurchases, first_test_of
from beam_jobs.query_groups import CapQueries
from beam_jobs.read_table import read_here
from beam_jobs.search_split import SearchSplit, split_of_searches
from beam_jobs.split_check import refuse_late_searches
from beam_jobs.work import Work
from tfmm.errors import TfmmError
from tfmm.records.index import ItemIndex
from tfmm.records.sources import DIRECTIONS, QUERIES, check_sources, describe
from tfmm.schema import GlobalTime, Schema

ITEM_TEST_SHARE = 0.05
_ROW_BYTES = 1_000


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
    that the searches supply goes before the rule, and must not break it. Where
    searches are joined with purchases, a pair is of the moment of its purchase, so
    that one whose search alone lies before the end of training is the test's. The
    manifests' `first_test` is the first moment of any test search: pairs that come
    without users can be judged by nothing else.

    Joins and limits by query group searches, and with them the query pictures that
    stand in the table: where these are many, name them by path.

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
    files.use_flags(pipeline_args)
    shop = Schema.from_yaml(schema)
    chosen = _checked(shop, schema, items, sources)
    opened = ItemIndex.open(files.fetched(index))
    split = split_of_searches(shop)
    if shop.searches is not None and shop.searches.part:
        refuse_late_searches(shop, split)
    read = [] if set(chosen) == {"item"} else ["searches"]
    job = Job(
        "search_pairs",
        output,
        schema=shop,
        tables=[*read, "events"] if read and shop.joins else read,
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
        pipeline, work = running.pipeline, running.work
        facts = pipeline | ReadItemFacts(items, opened) if items else None
        made = [pipeline | "Seeds" >> _seeds(work)]
        if read:
            side = [] if facts is None else [beam.pvalue.AsSingleton(facts)]
            threads = decoding_threads(job.options)
            packing = PairsOfSearches(shop, index, work, threads, chosen)
            made.append(
                pipeline
                | _known(shop, index, work, split, chosen, facts)
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
            | "Write" >> beam.ParDo(WriteShard(work, split.for_everybody))
        )
        found = running.finish()
        if read and shop.joins:
            _require_purchases(shop, found)
        by_users = shop.joins and not isinstance(shop.split, GlobalTime)
        return running.commit(
            manifests(
                shop,
                found,
                chosen,
                QUERIES if items is None else (*QUERIES, *DIRECTIONS),
                first_test=first_test_of(work) if by_users else split.first_test,
                index=opened.stamp(),
            )
        )


def _known(
    shop: Schema,
    index: str,
    work: Work,
    split: SearchSplit,
    sources: Sequence[str],
    facts: Any,
) -> beam.PTransform:
    """Searches with what was bought in them, as `PairsOfSearches` takes them."""
    made: beam.PTransform = (
        JoinPurchases(shop, index, work, sources, facts)
        if shop.joins
        else KnownSearches(shop, index, work, split)
    )
    return made | CapQueries(shop, work) if shop.groups_queries else made


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


def _require_purchases(shop: Schema, found: Mapping[str, int]) -> None:
    """Refuses events of which none is a purchase."""
    if found.get("purchases:read", 0):
        return
    types = next(read_here(shop, "events", ["type"]))["type"].unique().to_pylist()
    raise TfmmError(
        "No event is a purchase, so no search has an answer. Expected: events of the "
        f"type {shop.pairs.purchase_type!r}. Received: events of "
        f"{', '.join(map(repr, types[:10]))}. Name the type of purchases in the "
        "schema's `pairs.purchase_type`."
    )


def _arguments() -> Any:
    arguments = command.parser(
        __doc__,
        name="search_pairs",
        reads="searches of the schema; the item index; item records, if given",
        writes="train/ and test/ pairs of a query and the item it led to",
        example="--schema shop.yaml --index out/index --items out/items --output "
        "out/pairs",
    )
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
