import io
import json
import re

import numpy as np
import pytest
from PIL import Image

from tfmm.catalog import Catalog
from tfmm.errors import TfmmError
from tfmm.evaluation import Columns, gain_table, write_report
from tfmm.records.example import encode
from tfmm.records.index import ItemIndex
from tfmm.records.manifest import write_manifest, writing
from tfmm.records.tfrecord import write_records

ITEMS = 12
PLANTED = "<script>alert('x')</script> & \"shoe\""


def jpeg(number):
    out = io.BytesIO()
    Image.new("RGB", (8, 8), (number * 20 % 255, 90, 160)).save(out, "JPEG")
    return out.getvalue()


def write_items(out, index):
    def record(number):
        title = PLANTED if number == 3 else f"item {number}"
        image = b"" if number == 4 else jpeg(number)
        return encode(
            {
                "row": np.array([number + 2]),
                "item_id": [str(number).encode()],
                "title": [title.encode()],
                "image": [image],
                "image_hash": [b""],
            }
        )

    with writing(out / "items") as tmp:
        write_records(tmp / "items-0.tfrecord", map(record, range(ITEMS)))
        counts = {"read": 14, "written": ITEMS, "dropped": {"no_id": 2, "other": 0}}
        pictures = {"read": ITEMS, "written": 11, "dropped": {"truncated_jpeg": 1}}
        write_manifest(tmp, kind="items", counts=counts, pictures=pictures)


def gains(bars=False):
    rng = np.random.default_rng(0)
    n = 200
    label = rng.random(n) < 0.4
    base = Columns(
        np.arange(n) // 10,
        rng.integers(2, 14, n),
        range(n),
        label,
        rng.random(n),
        [0] * n,
    )
    full = base.with_probability(0.3 * label + 0.7 * base.probability)
    bars = {"item mean + user mean": base.with_probability(3 * full.probability)}
    rows = {"id_only": base, "simtier_make": full}
    return gain_table(rows, full, bars=bars, embedding_row=np.arange(14) - 4)


@pytest.fixture
def out(tmp_path):
    index = ItemIndex.create([str(i) for i in range(ITEMS)], "int64")
    with writing(tmp_path / "input") as tmp:
        written = {"items": 14, "impressions": 200}
        write_manifest(tmp, kind="marketplace", counts={"read": 0, "written": written})
    index.save(tmp_path / "index")
    write_items(tmp_path, index)
    vectors = np.random.default_rng(0).normal(size=(ITEMS, 4))
    catalog = Catalog.from_vectors(
        range(ITEMS), vectors, name="n", version="1", modality="image", index=index
    )
    catalog.save(tmp_path / "catalog")
    history = {
        "loss": [2.0, 1.5, 1.2],
        "val_loss": [2.1, 1.7, 1.6],
        "val_acc_at_5": [0.1, 0.2, 0.4],
    }
    for folder, content in (
        ("encoders", history),
        ("make", {"loss": [0.7, 0.6]}),
        ("rankers/id_only", {"loss": [0.69], "val_loss": [0.68]}),
    ):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "history.json").write_text(json.dumps(content))
    (tmp_path / "evaluation").mkdir()
    gains().save(tmp_path / "evaluation" / "gain.json")
    shown = [(5, 0.2, False), (6, 0.9, True), (1, 0.5, False)]
    request = {
        "user": "00ffee1122334455",
        "history": [2, 3, 6] + [7] * 30,
        "items": [
            {
                "row": row,
                "label": 1.0 if row == 6 else 0.0,
                "score": score,
                "known": known,
                "parts": {"simtier": score - 0.625},
                "matches": {
                    "image": [{"times": 1, "row": 3, "cosine": 0.875, "tier": 18}]
                },
            }
            for row, score, known in shown
        ],
    }
    (tmp_path / "evaluation" / "example_requests.json").write_text(
        json.dumps([request])
    )
    served = {
        "url": "http://localhost/v1",
        "milliseconds": 3.25,
        "response": {"scores": list(range(30))},
    }
    (tmp_path / "evaluation" / "served.json").write_text(json.dumps(served))
    retrieval = {
        "image": {
            "task": "image->image",
            "queries": 1234,
            "candidates": 99,
            "numbers": {"acc@1": 0.5, "acc@5": 0.75, "std": 0.9},
            "slices": [
                {
                    "column": "training pairs of the item",
                    "more": 0,
                    "slices": [{"label": "2-4", "queries": 5, "acc@1": 0.375}],
                },
                {
                    "column": "category",
                    "more": 3,
                    "slices": [{"label": PLANTED, "queries": 7, "acc@1": 0.25}],
                },
            ],
            "probes": [
                {
                    "kind": "words",
                    "attribute": "colour",
                    "accuracy": 0.625,
                    "chance": 0.1,
                    "majority": 0.2,
                    "items": 88,
                    "values": 4,
                }
            ],
        }
    }
    (tmp_path / "encoders" / "retrieval.json").write_text(json.dumps(retrieval))
    (tmp_path / "encoders" / "neighbours_image.png").write_bytes(jpeg(1))
    for name, content in (
        (".stages/input.json", {"fingerprint": "x", "seconds": 12.5}),
        ("serving/export.json", {"ranker": "7"}),
    ):
        (tmp_path / name).parent.mkdir()
        (tmp_path / name).write_text(json.dumps(content))
    return tmp_path


def page_of(out):
    path = write_report(out, "demo <recipe>")
    assert path == out / "report.html"
    return path.read_text(encoding="utf-8")


def test_every_part_is_there(out):
    page = page_of(out)
    assert "demo &lt;recipe&gt;" in page
    assert "Every count adds up" in page and "truncated jpeg <b>1</b>" in page
    assert "+ SimTier + MAKE" in page and "item mean + user mean" in page
    assert page.count('<svg class="chart"') == 4  # the gain; SCL: loss, acc; MAKE: loss
    assert "00ffee112233" in page and "00ffee1122334455" not in page
    assert "17 older not shown" in page
    assert page.count(">clicked<") == 1 and page.count(">no vectors<") == 2
    assert "unknown item" in page and "no picture" in page
    assert "By image" in page and "… 22 more" in page and "<dd>3.25</dd>" in page
    assert "<h3>Ranker <small>1 epoch" in page
    assert "input <b>12.5</b>" in page and "published" in page
    assert 'class="absent"' not in page


def test_what_the_towers_find_is_shown(out):
    page = page_of(out)
    assert "Acc@1 <b>0.5000</b>, Acc@5 <b>0.7500</b>; 1,234 test pairs" in page
    assert "0.3750" in page and "<summary>By category</summary>" in page
    assert "3 further values are not shown" in page and "0.2500" in page
    assert "its own words, untrained" in page and "0.6250" in page
    assert page.count('<img class="sheet" src="data:image/png;base64,') == 1


def test_candidates_stand_in_order_of_score(out):
    page = page_of(out)
    found = re.findall(r'<span class="facts"><b>([\d.]+)</b>', page)
    assert found == ["0.900", "0.500", "0.200"]


def test_why_a_request_was_ranked_so(out):
    page = write_report(out, "demo").read_text()
    assert "matched by image" in page
    assert page.count("item 1 <b>0.88</b>") + page.count("item 1 <b>0.87</b>") == 3
    assert "+0.275" in page and "−0.425" in page


def test_a_title_is_text_never_markup(out):
    page = page_of(out)
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_page_loads_nothing(out):
    page = page_of(out)
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)""", page)
    assert "url(" not in page and "@import" not in page


def test_an_empty_run_says_what_is_absent(tmp_path):
    page = page_of(tmp_path)
    assert page.count('class="absent"') == 7
    assert "There is no gain table" in page


def test_missing_records_are_shown(out):
    with writing(out / "pairs") as tmp:
        counts = {"read": 10, "written": 7, "dropped": {"too_new": 2}}
        write_manifest(tmp, kind="pairs", counts=counts)
    impressions = {"read": 190, "written": 190}
    with writing(out / "timelines") as tmp:
        write_manifest(tmp, kind="timelines", counts={}, impressions=impressions)
    with writing(out / "vocabularies") as tmp:
        counts, parts = {"read": 9, "written": 9}, {"train": 5, "test": {"written": 3}}
        write_manifest(tmp, kind="vocabularies", counts=counts, parts=parts)
    page = page_of(out)
    assert "pairs: 1 records of 10 read are neither written nor dropped" in page
    assert "timelines: 190 impressions read of 200 in the input" in page
    assert "vocabularies: 8 records in 2 parts of 9 written" in page
    assert "Every count adds up" not in page


def test_damaged_files_are_named(out):
    path = out / "evaluation" / "example_requests.json"
    path.write_text('[{"user": "a"}]')
    with pytest.raises(TfmmError, match="user, history and items"):
        write_report(out, "demo")
    path.write_text("[")
    with pytest.raises(TfmmError, match="not valid JSON"):
        write_report(out, "demo")
    with pytest.raises(TfmmError, match="no run to report on"):
        write_report(out / "gone", "demo")
