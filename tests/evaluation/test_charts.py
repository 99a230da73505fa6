import math
import re
from xml.etree import ElementTree

import pytest

from tfmm.evaluation.charts import line_chart, nice_ticks


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.68, 0.693, [0.68, 0.685, 0.69, 0.695]),
        (-3, 12, [-5, 0, 5, 10, 15]),
    ],
)
def test_ticks_are_round(low, high, expected):
    assert nice_ticks(low, high) == pytest.approx(expected)


@pytest.mark.parametrize("value", [0.0, 5.0, -2e-9, 1e12])
def test_ticks_of_a_constant_enclose_it(value):
    ticks = nice_ticks(value, value)
    assert ticks[0] < value < ticks[-1]


def test_line_chart_is_well_formed_and_escapes():
    svg = str(line_chart({"<a>": [1.0, math.nan, None, 3.0], "b": [2.0]}, '"&'))
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == '"&'
    assert svg.count("<circle") == 3
    # the gap lifts the pen: two moves, no line
    paths = re.findall(r'class="curve &lt;a&gt;"><path d="([^"]*)"', svg)
    assert paths[0].count("M") == 2 and "L" not in paths[0]


def test_line_chart_of_nothing_is_empty():
    assert line_chart({}, "x") == "" and line_chart({"a": [math.nan]}, "x") == ""
