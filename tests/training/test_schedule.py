from __future__ import annotations

import math
from itertools import pairwise

import pytest

from studiolo.training.schedule import Kind, factor

KINDS: tuple[Kind, ...] = ("constant", "cosine", "wsd")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_rises_in_a_line_and_reaches_its_peak(kind: Kind) -> None:
    rise = [factor(kind, step, 100, warmup=10) for step in range(10)]
    assert rise == pytest.approx([(step + 1) / 10 for step in range(10)])
    assert factor(kind, 10, 100, warmup=10) == 1.0
    assert factor(kind, 0, 100, warmup=0) == 1.0


@pytest.mark.parametrize("kind", KINDS)
def test_no_kind_rises_after_the_warm_up_or_leaves_its_range(kind: Kind) -> None:
    course = [factor(kind, step, 300, warmup=20, final=0.1) for step in range(20, 300)]
    assert all(earlier >= later for earlier, later in pairwise(course))
    assert min(course) >= 0.1
    assert max(course) == 1.0


def test_cosine_is_half_way_down_in_the_middle() -> None:
    assert factor("cosine", 60, 110, warmup=10) == pytest.approx(0.5)
    assert factor("cosine", 60, 110, warmup=10, final=0.2) == pytest.approx(0.6)
    last = 0.5 * (1 + math.cos(math.pi * 99 / 100))
    assert factor("cosine", 109, 110, warmup=10) == pytest.approx(last)


def test_wsd_is_level_and_then_falls_in_a_line_to_one_step_above_nothing() -> None:
    course = [factor("wsd", step, 100, warmup=0, decay=0.25) for step in range(100)]
    assert course[:76] == [1.0] * 76
    assert course[76:] == pytest.approx([(100 - step) / 25 for step in range(76, 100)])
    assert course[-1] == pytest.approx(1 / 25)


def test_constant_stays() -> None:
    assert {factor("constant", step, 50, warmup=5) for step in range(5, 50)} == {1.0}
