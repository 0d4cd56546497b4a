from __future__ import annotations

import re
from xml.etree import ElementTree

import pytest

from studiolo.training.corpus.bars import LEFT, WIDTH, lengths, stacked


def test_parts_stand_side_by_side_and_fill_the_row() -> None:
    drawn = stacked([("a<b", {"kept": 3, "near": 1, "none": 0}), ("c", {"near": 2})])
    root = ElementTree.fromstring(drawn)
    bars = [each for each in root.iter("rect") if each.get("height") == "20"]
    widths = [float(each.get("width", "")) for each in bars]
    assert widths[0] == pytest.approx(3 * widths[1], rel=0.01)
    assert sum(widths[:2]) == pytest.approx(WIDTH - LEFT - 8, abs=0.2)
    assert widths[2] == pytest.approx(WIDTH - LEFT - 8, abs=0.2)
    assert bars[1].get("fill") == bars[2].get("fill") != bars[0].get("fill")
    assert [each.text for each in root.iter("text")][:2] == ["kept", "near"]
    assert "none" not in drawn


def test_nothing_is_drawn_without_numbers() -> None:
    assert ElementTree.fromstring(stacked([("a", {})])).findall("rect") == []
    assert lengths([]) == lengths([0, 0]) == ""


def test_columns_are_as_high_as_they_are_many() -> None:
    drawn = lengths([0, 0, 5, 10])
    ElementTree.fromstring(drawn)
    heights = [float(each) for each in re.findall(r'height="([\d.]+)"', drawn)]
    assert heights[1] == pytest.approx(2 * heights[0])
    assert ">4+<" in drawn
    assert ">8+<" in drawn
