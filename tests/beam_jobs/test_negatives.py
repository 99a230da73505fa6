import numpy as np
import pyarrow as pa
import pytest
import shop
from random_log import random_log, schema

from beam_jobs.kernels import timelines
from beam_jobs.kernels.negatives import sampled
from tfmm.errors import TfmmError
from tfmm.records.split import TRAIN


def requests_of(seed, **rules):
    shown, _ = random_log(seed)
    return timelines.requests_of(shown, schema(request="r", **rules))


def rows(requests):
    """(user, time, item, label) of every impression."""
    owner = np.repeat(np.arange(len(requests.user)), np.diff(requests.first))
    table = requests.impressions
    return list(
        zip(
            requests.user[owner].tolist(),
            requests.time[owner].tolist(),
            table["item"].to_pylist(),
            table["label:click"].to_pylist(),
            strict=True,
        )
    )


@pytest.mark.parametrize("seed", range(5))
def test_positives_and_later_parts_are_all_kept(seed):
    requests = requests_of(seed)
    kept = sampled(requests, ["click"], 0.3)
    owner = np.repeat(requests.part, np.diff(requests.first))
    certain = [
        row
        for row, part in zip(rows(requests), owner, strict=True)
        if row[3] or part != TRAIN
    ]
    found = rows(kept)
    weight = kept.impressions["weight"].to_pylist()
    assert [x for x, w in zip(found, weight, strict=True) if w == 1] == certain
    assert set(weight) <= {1, float(np.float32(1 / 0.3))}
    assert (np.diff(kept.first) > 0).all()


def test_the_order_of_the_input_never_matters():
    shown, _ = random_log(3)
    rule = schema(request="r")
    mixed = shown.take(pa.array(np.random.default_rng(0).permutation(shown.num_rows)))
    left, right = (
        sampled(timelines.requests_of(x, rule), ["click"], 0.5) for x in (shown, mixed)
    )
    assert rows(left) == rows(right)


def test_weights_add_up_to_what_was_shown():
    n = 100_000
    shown = pa.table(
        {
            "user": np.arange(n) % 1000,
            "item": np.arange(n) // 10,
            "time": np.zeros(n, np.int64),
            "source": np.arange(n),
            "label:click": (np.arange(n) % 10 == 0).astype(float),
        }
    )
    rule = schema(requests={"max_items": 1000})
    kept = sampled(timelines.requests_of(shown, rule), ["click"], 0.1)
    # 10,000 positives, and a tenth of 90,000 negatives at weight 10.
    assert kept.impressions.num_rows == pytest.approx(19_000, rel=0.02)
    assert sum(kept.impressions["weight"].to_pylist()) == pytest.approx(n, rel=0.02)


@pytest.mark.slow
def test_every_impression_is_in_a_request_or_counted(tmp_path):
    done = shop.build(
        shop.write(tmp_path / "shop", requests={"max_items": 2, "negative_rate": 0.01}),
        tmp_path / "out",
    )["timelines"]
    dropped = done["counts"]["dropped"]
    # b in r1, c in r2 and a in r4 are negatives of training; d in r3 is the test's.
    assert dropped == {"sampled_out": 3}
    assert done["counts"]["read"] == 6 and done["counts"]["written"] == 3
    (record,) = shop.records(tmp_path / "out/timelines/train")
    assert record["weight"] == [1, 1] and record["label_click"] == [1, 1]


def test_vocabularies_must_know_of_it(tmp_path):
    from beam_jobs import behaviours

    schema_file = shop.write(tmp_path / "shop")
    shop.build(schema_file, tmp_path / "out")
    shop.write(tmp_path / "shop", requests={"negative_rate": 0.5})
    folders = [str(tmp_path / "out" / x) for x in ("index", "vocabularies", "again")]
    with pytest.raises(TfmmError, match="Run `vocabularies` again"):
        behaviours.run(str(schema_file), *folders, str(tmp_path / "out.key"))


def test_requests_by_window(tmp_path):
    log = {k: v for k, v in shop.SCHEMA["impressions"].items() if k != "request"}
    window = {"max_items": 9, "window_seconds": 100}
    schema_file = shop.write(tmp_path / "shop", impressions=log, requests=window)
    done = shop.build(schema_file, tmp_path / "out")["timelines"]
    # u1 at 100 and 200 is one request, 300 the test; u2 at 250 has one item.
    found = [done["parts"][x]["requests"] for x in ("train", "test")]
    assert found == [2, 1]
    sizes = [x["request_items"] for x in shop.records(tmp_path / "out/timelines/train")]
    assert sorted(sizes) == [[1], [4]]
