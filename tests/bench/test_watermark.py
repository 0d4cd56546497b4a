from __future__ import annotations

import math
from pathlib import Path

import pytest
from rich.console import Console

import studiolo
from bench.table import require_plotting
from bench.watermark import (
    Outcome,
    Pair,
    draw,
    draw_seconds,
    pairs_of,
    prose_alarms,
    quality_table,
    share,
    step_difference,
    table_of,
)
from studiolo.errors import MissingExtraError

PAIRS = [
    Pair({10: (-3.0, -0.5), 20: (-8.0, -2.5)}, (2.0, 2.2)),
    Pair({10: (-1.0, -0.1)}, (3.0, 2.6)),
]


def test_what_is_found_and_what_it_costs() -> None:
    outcome = Outcome.of(0.7, PAIRS, (0.001, 0.002))
    assert outcome.found == {10: 0.5, 20: 1.0}
    assert outcome.alarms == {10: 0.0, 20: 1.0}
    assert outcome.counts == {10: 2, 20: 1}
    assert outcome.perplexity == pytest.approx((math.exp(2.5), math.exp(2.4)))
    mean, half = outcome.difference
    assert mean == pytest.approx(0.1)
    assert half == pytest.approx(1.96 * 0.3 * math.sqrt(2) / math.sqrt(2))


def test_an_alarm_is_a_p_value_of_one_in_a_hundred() -> None:
    assert share([-2.0, -1.99, -5.0, 0.0]) == 0.5


def test_pairs_are_of_the_same_beginning_and_differ_by_the_mark(tiny: str) -> None:
    lm = studiolo.load(tiny, device="cpu")
    pairs = pairs_of(lm, "the cat", 1, 2, 60, 1.0)
    assert len(pairs) == 2
    for pair in pairs:
        assert all(0 < each < 10 for each in pair.nats)
        assert set(pair.evidence) <= set(range(400))


def test_single_steps_cost_nothing(tiny: str) -> None:
    mean, half = step_difference(studiolo.load(tiny, device="cpu"), 1, 40, 8, 1.0)
    assert abs(mean) < 3 * half
    assert half < 0.2


def test_false_alarms_in_prose_are_as_many_as_they_should_be(tiny: str) -> None:
    count, alarms = prose_alarms(studiolo.load(tiny, device="cpu"), 1)
    assert count > 1000
    assert abs(alarms - 0.01) < 5 * math.sqrt(0.01 / count)


def test_a_draw_is_timed_with_and_without(tiny: str) -> None:
    found = draw_seconds(studiolo.load(tiny, device="cpu"))
    assert set(found) == {"all", "50"}
    assert all(plain > 0 and marked > 0 for marked, plain in found.values())


def test_tables_and_a_picture(tmp_path: Path) -> None:
    outcomes = [Outcome.of(t, PAIRS, (0.001, 0.002)) for t in (1.0, 0.7)]
    console = Console(width=120, record=True, quiet=False, file=(tmp_path / "out").open("w"))
    console.print(table_of(outcomes, "Marks"))
    console.print(quality_table(outcomes))
    shown = console.export_text()
    console.file.close()
    assert "50%" in shown
    assert "+0.0010 ± 0.0020" in shown
    try:
        require_plotting()
    except MissingExtraError:
        pytest.skip("no plotting")
    draw(outcomes, tmp_path / "picture.svg")
    assert (tmp_path / "picture.svg").stat().st_size > 1000
