import re
import threading

import pytest
from serving.small_models import LARGEST, ask, predict

from tfmm.serving.metrics import Histogram, Metrics
from tfmm.serving.status import StatusError


def values(page, name):
    """Label text -> value of one metric."""
    found = re.findall(rf"^{re.escape(name)}{{(.*)}} (\S+)$", page, re.MULTILINE)
    return {labels: float(value) for labels, value in found}


def test_a_histogram_is_cumulative():
    histogram = Histogram("t", ("model",))
    for microseconds in (5, 10, 11, 10**12):
        histogram.add('a"\\\n', seconds=microseconds / 1e6)
    lines = list(histogram.lines())
    label = r'model="a\"\\\n"'
    assert lines[:4] == [
        "# TYPE t histogram",
        f't_bucket{{{label},le="10"}} 2',
        f't_bucket{{{label},le="18"}} 3',
        f't_bucket{{{label},le="32.4"}} 3',
    ]
    assert lines[-3] == f't_bucket{{{label},le="+Inf"}} 4'
    assert lines[-2:] == [f"t_sum{{{label}}} 1000000000026", f"t_count{{{label}}} 4"]


def test_requests_are_counted_by_what_they_ended_with():
    metrics = Metrics()
    with metrics.request("m", "REST"):
        pass
    for error in (StatusError("NOT_FOUND", ""), KeyError()):
        with pytest.raises(type(error)), metrics.request("m", "REST"):
            raise error
    page = metrics.page().decode()
    assert values(page, ":tensorflow:serving:request_count") == {
        'model_name="m",status="OK"': 1,
        'model_name="m",status="NOT_FOUND"': 1,
        'model_name="m",status="INTERNAL"': 1,
    }


def test_threads_lose_no_count():
    metrics = Metrics()

    def work():
        for _ in range(2000):
            metrics.requests.add("m", "OK")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = values(metrics.page().decode(), ":tensorflow:serving:request_count")
    assert list(found.values()) == [8000]


def test_a_server_tells_its_metrics(conforming):
    assert predict(conforming, {"inputs": [1]}, "half")[0] == 200
    assert predict(conforming, {"inputs": 1}, "no-such-model")[0] == 404
    path = "/monitoring/prometheus/metrics"
    code, kind, body = ask(conforming, "GET", path)
    assert (code, kind) == (200, "text/plain")
    page = body.decode()
    counts = values(page, ":tensorflow:serving:request_count")
    assert counts['model_name="half",status="OK"'] >= 1
    # A client must not make up labels without end.
    assert counts['model_name="",status="NOT_FOUND"'] >= 1
    assert "no-such-model" not in page
    call = 'model_name="half",API="Predict",entrypoint="REST"'
    latency = ":tensorflow:serving:request_latency"
    assert values(page, f"{latency}_count")[call] >= 1
    assert values(page, f"{latency}_sum")[call] > 0
    run = 'model_name="half",API="Predict",runtime="TF1"'
    assert values(page, ":tensorflow:serving:runtime_latency_count")[run] >= 1
    loads = values(page, ":tensorflow:cc:saved_model:load_attempt_count")
    assert any(f"half/{LARGEST}" in k and "success" in k for k in loads)
    for line in page.splitlines():
        assert re.fullmatch(r"# TYPE \S+ \w+|\S+{[^{}]*} [0-9.e+]+", line), line
    assert ask(conforming, "GET", f"{path}?x=1")[0] == 404
    assert ask(conforming, "POST", path, b"")[0] == 404
