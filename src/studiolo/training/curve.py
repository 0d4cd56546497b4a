"""Curves as SVG: lines over steps, with axes that a reader can read.

Deliberately small: linear axes, ticks at round numbers, a legend. Knows points; does not know
what they measure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 720, 300, 56, 40, 24
COLOURS = ("#9aa5b1", "#b5651d", "#2f6f8f")
MOST = 600
"""Points of a line; of more, every n-th is drawn."""


@dataclass(frozen=True)
class Line:
    """A named curve: ``(x, y)``, by ascending x."""

    name: str
    points: Sequence[tuple[float, float]]


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between ``low`` and ``high``, which may be equal: 1, 2 or 5 times a power."""
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return [low]
    rough = span / about
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def curves(lines: Sequence[Line], unit: str) -> str:
    """One picture of all ``lines``; ``unit`` is written under the x axis."""
    every = [point for line in lines for point in line.points if math.isfinite(point[1])]
    if not every:
        return "<p>There is nothing to show.</p>"
    low_x, high_x = min(x for x, _ in every), max(x for x, _ in every)
    low_y, high_y = min(y for _, y in every), max(y for _, y in every)

    def across(x: float) -> float:
        return LEFT + (x - low_x) / ((high_x - low_x) or 1) * (WIDTH - LEFT - 10)

    def up(y: float) -> float:
        return HEIGHT - BOTTOM - (y - low_y) / ((high_y - low_y) or 1) * (HEIGHT - BOTTOM - TOP)

    parts = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="12">']
    for y in ticks(low_y, high_y):
        parts.append(
            f'<path d="M{LEFT} {up(y):.1f}H{WIDTH - 10}" stroke="#ddd"/>'
            f'<text x="{LEFT - 6}" y="{up(y) + 4:.1f}" text-anchor="end">{y:.4g}</text>'
        )
    for x in ticks(low_x, high_x):
        place = f'x="{across(x):.1f}" y="{HEIGHT - BOTTOM + 16}"'
        parts.append(f'<text {place} text-anchor="middle">{x:,.4g}</text>')
    parts.append(f'<text x="{WIDTH - 10}" y="{HEIGHT - 6}" text-anchor="end">{escape(unit)}</text>')
    for i, line in enumerate(lines):
        colour = COLOURS[i % len(COLOURS)]
        kept = [p for p in line.points if math.isfinite(p[1])][:: -(-len(line.points) // MOST) or 1]
        path = " ".join(f"{across(x):.1f},{up(y):.1f}" for x, y in kept)
        parts.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
            f'<text x="{LEFT + 110 * i}" y="14" fill="{colour}">{escape(line.name)}</text>'
        )
    return "".join(parts) + "</svg>"
