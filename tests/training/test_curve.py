from __future__ import annotations

import math
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from studiolo.training.curve import HEIGHT, MOST, WIDTH, Line, curves, ticks

NUMBERS = st.floats(-1e9, 1e9)


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0, 10, [0, 2, 4, 6, 8, 10]),
        (1.6, 4.2, [2, 3, 4]),
        (0, 2000, [0, 500, 1000, 1500, 2000]),
        (3, 3, [3]),
    ],
)
def test_ticks_are_round_and_within(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(wanted)


@given(NUMBERS, NUMBERS)
def test_there_are_few_ticks_whatever_the_span(one: float, two: float) -> None:
    low, high = sorted((one, two))
    found = ticks(low, high)
    assert 1 <= len(found) <= 7
    slack = 1e-6 * max(abs(low), abs(high), high - low)
    assert all(low - slack <= tick <= high + slack for tick in found)


@given(st.lists(st.tuples(st.integers(0, 10**6), st.floats(width=32))), st.text())
def test_every_curve_is_a_picture_within_its_frame(
    points: list[tuple[int, float]], name: str
) -> None:
    clean = "".join(each for each in name if each.isprintable())
    drawn = curves([Line(clean, sorted(points, key=lambda p: p[0]))], "steps")
    root = ElementTree.fromstring(drawn)
    if not any(math.isfinite(y) for _, y in points):
        assert root.tag == "p"
        return
    (line,) = root.iter("polyline")
    for pair in line.attrib["points"].split():
        x, y = map(float, pair.split(","))
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


def test_a_long_line_is_thinned_and_a_name_is_escaped() -> None:
    drawn = curves([Line("<b>", [(x, x % 7) for x in range(10 * MOST)])], "steps")
    (line,) = ElementTree.fromstring(drawn).iter("polyline")
    assert len(line.attrib["points"].split()) == MOST
    assert "<b>" not in drawn
