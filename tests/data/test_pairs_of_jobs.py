"""What the jobs write is what `pairs` reads."""

import pyarrow as pa
import shop
from pair_folders import Letters, Pixels
from sample_pictures import encoded, noise, plain

from beam_jobs import item_media, search_pairs
from tfmm.data.pair_batches import pairs
from tfmm.records.index import ItemIndex

ONE, OTHER, THIRD = encoded(noise()), encoded(plain()), encoded(noise((30, 20)))


def test_from_tables_to_batches(tmp_path):
    tables = {
        "items": {
            "id": ["a", "b", "c", "d"],
            "title": ["Apple", "Beer", "Cake", "Date"],
            "photo": pa.array([ONE, ONE, OTHER, None], pa.binary()),
            "views": pa.array([[THIRD], None, [], None], pa.list_(pa.binary())),
            "style": [None, None, "s", "s"],
        },
        "searches": {
            "time": [1, 1],
            "bought": ["a", "c"],
            "words": ["Red", "Red"],
            "clicked": [["b", "d"], ["a"]],
            "search": [7, 7],
        },
    }
    schema = shop.write(
        tmp_path,
        tables,
        items={
            "files": "items.parquet",
            "id": "id",
            "title": "title",
            "image": "photo",
            "more_images": "views",
            "equivalent": "style",
        },
        searches={
            "files": "searches.parquet",
            "time": "time",
            "bought": "bought",
            "query_text": "words",
            "clicked": "clicked",
            "search": "search",
        },
    )
    index, items, out = (str(tmp_path / x) for x in ("index", "media", "pairs"))
    ItemIndex.create(["a", "b", "c", "d"]).save(index)
    item_media.run(str(schema), index, items)
    search_pairs.run(
        str(schema),
        index,
        out,
        items=items,
        sources=["search", "clicked", "item"],
        item_test_share=0.0,
    )
    data = pairs(f"{out}/train", items, Pixels(), Letters(), shuffle=False)
    (batch,) = data
    keys = ("source", "query_group", "item", "group", "negative_group")
    columns = [batch[key].numpy().tolist() for key in keys]
    further = [max(row, default=0) for row in batch["positives"].numpy().tolist()]
    # Groups: {a 2, b 3} by photo, {c 4, d 5} by style. The search bought a and c, so
    # that neither b nor d, of their groups, is a negative of either. Nor is a query's
    # own group a further positive.
    assert sorted(zip(*columns, further, strict=True)) == [
        (0, 0, 2, 2, 0, 4),
        (0, 0, 4, 4, 0, 2),
        (1, 2, 4, 4, 0, 0),
        (1, 4, 2, 2, 0, 0),
        *((2, group, row, group, 0, 0) for row, group in zip(*ROWS, strict=True)),
    ]
    assert data.num_pairs == 8
    assert batch["has_query_text"].numpy().all()


ROWS = [2, 3, 4, 5], [2, 2, 4, 4]
