from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from studiolo.training.chart import COLUMNS, ROWS, chart


def test_a_line_falls_from_left_to_right() -> None:
    drawn = chart([float(-i) for i in range(ROWS)])
    assert len(drawn) == ROWS
    assert [line.index("•") for line in drawn] == list(range(10, 10 + ROWS))
    assert drawn[0].startswith("   0.000 │")
    assert drawn[-1].startswith(" -11.000 │")


def test_a_mark_stands_behind_the_curve() -> None:
    drawn = chart([0.0, 1.0, 0.0], mark=1)
    assert drawn[0].endswith("│ •")
    assert all(line.endswith("│ ┊") for line in drawn[1:-1])


@given(st.lists(st.floats(-1e30, 1e30), max_size=300), st.integers(0, 299))
def test_every_curve_is_drawn_within_its_frame(values: list[float], mark: int) -> None:
    drawn = chart(values, mark if mark < len(values) else None)
    assert len(drawn) == (ROWS if values else 0)
    for line in drawn:
        assert len(line.partition("│")[2]) <= COLUMNS
    if values:
        assert sum(line.count("•") for line in drawn) >= 1
