"""A curve in characters, for a terminal. Knows points; does not know what they measure."""

from __future__ import annotations

from collections.abc import Sequence

ROWS, COLUMNS = 12, 64


def chart(values: Sequence[float], mark: int | None = None) -> list[str]:
    """Lines that draw finite ``values``, the greatest above, evenly from left to right.

    ``mark``: the index of one that a line stands at. No values, no lines.
    """
    if not values:
        return []
    low, high = min(values), max(values)
    columns = min(COLUMNS, len(values))
    grid = [[" "] * columns for _ in range(ROWS)]

    def column(index: int) -> int:
        return index * columns // len(values)

    if mark is not None:
        for row in grid:
            row[column(mark)] = "┊"
    for i, value in enumerate(values):
        height = round((value - low) / ((high - low) or 1) * (ROWS - 1))
        grid[ROWS - 1 - height][column(i)] = "•"
    labels = [f"{high:8.3f}", *[" " * 8] * (ROWS - 2), f"{low:8.3f}"]
    return [f"{label} │{''.join(row).rstrip()}" for label, row in zip(labels, grid, strict=True)]
