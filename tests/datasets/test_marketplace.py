"""The simulator: same seed same bytes, a truth that its clicks follow, new items."""

import hashlib
import io

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from tfmm.datasets import marketplace
from tfmm.datasets.marketplace import MarketplaceConfig, best_scores, generate
from tfmm.datasets.marketplace_log import DAY, START
from tfmm.errors import TfmmError
from tfmm.evaluation.metrics import auc, gauc
from tfmm.records.manifest import read_manifest
from tfmm.schema import Schema

CONFIG = MarketplaceConfig.of_size(
    "smoke", items=200, users=300, requests_per_user=16.0, no_title=0.05
)
TEST_FROM = START + CONFIG.first_test_day * DAY


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return generate(tmp_path_factory.mktemp("market") / "shop", CONFIG)


def column(folder, table, name):
    return pq.read_table(folder / f"{table}.parquet", columns=[name])[name]


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.name: hashlib.sha256(path.read_bytes()).digest() for path in files}


def test_same_seed_same_bytes_and_other_seed_other_bytes(tmp_path):
    size = MarketplaceConfig.of_size("smoke", items=60, users=40, searches=30)
    once, again = (generate(tmp_path / name, size) for name in ("one", "two"))
    assert digests(once) == digests(again)
    assert len(digests(once)) == 8
    other = digests(generate(tmp_path / "three", size, seed=8))
    same = {name for name, digest in digests(once).items() if other[name] == digest}
    assert same == {"schema.yaml"}


def test_manifest_counts_every_row(folder):
    manifest = read_manifest(folder, kind="marketplace", verify=True)
    written = manifest["counts"]["written"]
    for name, rows in written.items():
        assert pq.read_metadata(folder / f"{name}.parquet").num_rows == rows
    assert written["items"] == 200
    assert written["searches"] == 400
    assert written["truth"] == written["impressions"]


def test_the_schema_fits_the_tables(folder):
    schema = Schema.from_yaml(folder / "schema.yaml")
    for role in ("items", "impressions", "events", "searches", "users"):
        table = getattr(schema, role)
        present = pq.read_schema(folder / table.files).names
        assert {name for name, _, _ in table.columns().values()} <= set(present)
    assert schema.history.label == "click"


def test_clicks_follow_the_known_probability(folder):
    truth = best_scores(folder, "all")
    order = np.argsort(truth["score"])
    for rows in np.array_split(order, 10):
        p = truth["score"][rows]
        noise = np.sqrt((p * (1 - p)).sum()) / len(rows)
        assert abs(truth["label"][rows].mean() - p.mean()) < 4 * noise
    assert 0.08 < truth["label"].mean() < 0.22


def test_the_truth_orders_better_than_what_else_is_known(folder):
    best = best_scores(folder)
    popularity = seen_clicks(folder)[[int(i[1:]) for i in best["item"]]]
    logged = column(folder, "impressions", "base_score").to_numpy()[
        -len(best["item"]) :
    ]
    oracle = gauc(best["user"], best["label"], best["score"]).value
    assert 0.70 < oracle < 0.85
    assert oracle > gauc(best["user"], best["label"], popularity).value + 0.1
    assert oracle > gauc(best["user"], best["label"], logged).value + 0.05
    assert auc(best["label"], logged) > 0.55


def seen_clicks(folder):
    """Smoothed click rate of every item before the test."""
    table = pq.read_table(folder / "impressions.parquet")
    train = table["time"].to_numpy() < TEST_FROM
    item = np.array([int(i[1:]) for i in table["item_id"].to_pylist()])[train]
    click = table["click"].to_numpy()[train]
    rows = np.bincount(item, minlength=300)
    return (np.bincount(item, click, minlength=300) + 2) / (rows + 14)


def test_new_items_are_a_fair_share_of_the_test_and_absent_before(folder):
    table = pq.read_table(folder / "impressions.parquet")
    item, time = table["item_id"].to_numpy(), table["time"].to_numpy()
    before, after = set(item[time < TEST_FROM]), item[time >= TEST_FROM]
    events = pq.read_table(folder / "events.parquet")
    early = events["time"].to_numpy() < TEST_FROM
    before |= set(events["item_id"].to_numpy()[early])
    searches = pq.read_table(folder / "searches.parquet")
    early = searches["time"].to_numpy() < TEST_FROM
    before |= set(searches["bought_item"].to_numpy()[early])
    for clicked in searches["clicked_items"].to_numpy()[early]:
        before |= set(clicked)
    new = ~np.isin(after, list(before))
    assert 0.12 < new.mean() < 0.25
    listed = set(column(folder, "items", "item_id").to_pylist())
    assert set(after[new]) <= listed


def test_a_few_items_are_known_to_the_log_alone(folder):
    listed = set(column(folder, "items", "item_id").to_pylist())
    shown = column(folder, "impressions", "item_id").to_pylist()
    unlisted = np.array([item not in listed for item in shown])
    assert 0 < unlisted.mean() < 0.1
    assert read_manifest(folder)["log_only_items"] == 3


def test_requests_hold_distinct_items_of_one_user_and_moment(folder):
    table = pq.read_table(folder / "impressions.parquet").to_pydict()
    requests: dict[int, list[int]] = {}
    for row, request in enumerate(table["request_id"]):
        requests.setdefault(request, []).append(row)
    for rows in requests.values():
        items = [table["item_id"][r] for r in rows]
        assert len(set(items)) == len(items) <= CONFIG.max_candidates
        assert len({(table["user_id"][r], table["time"][r]) for r in rows}) == 1
        assert [table["position"][r] for r in rows] == list(range(len(rows)))
        scores = [table["base_score"][r] for r in rows]
        assert scores == sorted(scores, reverse=True)


def test_pictures_are_jpegs_of_the_right_size_and_some_are_absent(folder):
    pictures = column(folder, "items", "image").to_pylist()
    assert 0 < sum(p is None for p in pictures) < 20
    image = Image.open(io.BytesIO(next(p for p in pictures if p)))
    assert (image.format, image.mode, image.size) == ("JPEG", "RGB", (48, 48))
    assert 0 < column(folder, "items", "title").null_count < 30


def test_searches_have_a_query_and_hard_negatives_of_the_same_shape(folder):
    shape = dict(
        zip(
            column(folder, "items", "item_id").to_pylist(),
            column(folder, "items", "category").to_pylist(),
            strict=True,
        )
    )
    table = pq.read_table(folder / "searches.parquet").to_pylist()
    assert all(row["query_text"] or row["query_image"] for row in table)
    assert any(row["query_text"] and row["query_image"] for row in table)
    assert sum(bool(row["clicked_items"]) for row in table) > 100
    for row in table:
        assert row["bought_item"] not in row["clicked_items"]
        known = [
            i for i in row["clicked_items"] if {i, row["bought_item"]} <= set(shape)
        ]
        assert all(shape[i] == shape[row["bought_item"]] for i in known)


def test_events_are_in_time_order_within_a_day_and_of_three_types(folder):
    table = pq.read_table(folder / "events.parquet")
    assert set(table["type"].to_pylist()) == {"view", "cart", "order"}
    assert table["time"].to_numpy().min() >= START
    assert table.num_rows / CONFIG.users > 20


def test_best_scores_parts_add_up(folder):
    rows = {part: len(best_scores(folder, part)["label"]) for part in ("train", "test")}
    rows["validation"] = len(best_scores(folder, "validation")["label"])
    assert sum(rows.values()) == len(best_scores(folder, "all")["label"])
    assert best_scores(folder)["time"].min() >= TEST_FROM
    assert best_scores(folder, "train")["time"].max() < TEST_FROM - DAY


def test_progress_is_reported(tmp_path):
    size = MarketplaceConfig.of_size("smoke", items=40, users=10, searches=5)
    seen = []
    generate(tmp_path / "shop", size, progress=lambda *step: seen.append(step))
    assert seen[0] == ("items", 40, 40)
    assert seen[-1] == ("days", size.days, size.days)


def test_command_line(tmp_path, capsys, monkeypatch):
    tiny = {"items": 40, "users": 10, "searches": 5, "days": 5, "test_days": 1}
    monkeypatch.setitem(marketplace_sizes(), "smoke", tiny)
    out = str(tmp_path / "shop")
    assert marketplace.main(["--size", "smoke", "--out", out, "--seed", "3"]) == 0
    assert "40 items" in capsys.readouterr().out
    assert read_manifest(out, kind="marketplace")["seed"] == 3


def marketplace_sizes():
    from tfmm.datasets import marketplace_config

    return marketplace_config._SIZES


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"items": 0}, "items=0"),
        ({"days": 3}, "days=3"),
        ({"new_items": 0.9}, "new_items=0.9"),
        ({"max_candidates": 200}, "max_candidates=200"),
        ({"colours": 3}, "colours"),
    ],
)
def test_sizes_out_of_range_are_refused(changes, message):
    with pytest.raises(TfmmError, match=message):
        MarketplaceConfig.of_size("smoke", **changes)


def test_unknown_size_split_and_folder_are_refused(folder, tmp_path):
    with pytest.raises(TfmmError, match="size='tiny'"):
        generate(tmp_path / "shop", "tiny")
    with pytest.raises(TfmmError, match="split='dev'"):
        best_scores(folder, "dev")
    with pytest.raises(TfmmError, match="manifest"):
        best_scores(tmp_path)
