"""Bars as SVG: one row a source with its parts, or one column a length. Knows numbers and names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

WIDTH, LEFT, ROW, HEIGHT = 720, 130, 30, 150
COLOURS = (
    *("#2f6f8f", "#b5651d", "#8a9a5b", "#9a6a8f", "#c9a227", "#6b7a8f", "#a94a4a", "#4f8a7b"),
    *("#c58b5a", "#777777", "#5a5a9a", "#bfa58a"),
)


def stacked(rows: Sequence[tuple[str, Mapping[str, float]]]) -> str:
    """One bar for each row, its parts side by side, all rows of one length; with a legend."""
    names = list(dict.fromkeys(name for _, parts in rows for name, value in parts.items() if value))
    colours = {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(names)}
    legend = 18 * -(-len(names) // 5) + 8
    height = legend + ROW * len(rows) + 6
    drawn = [f'<svg viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">']
    for i, name in enumerate(names):
        x, y = LEFT + i % 5 * 116, i // 5 * 18 + 4
        drawn.append(
            f'<rect x="{x}" y="{y}" width="10" height="10" fill="{colours[name]}"/>'
            f'<text x="{x + 14}" y="{y + 9}">{escape(name)}</text>'
        )
    for i, (row, parts) in enumerate(rows):
        top, at = legend + i * ROW, float(LEFT)
        total = sum(parts.values()) or 1
        shown = row if len(row) <= 18 else f"{row[:17]}…"
        drawn.append(
            f'<text x="{LEFT - 8}" y="{top + 15}" text-anchor="end">{escape(shown)}</text>'
        )
        for name, value in parts.items():
            if not value:
                continue
            told = escape(f"{row}, {name}: {value:,}")
            width = (WIDTH - LEFT - 8) * value / total
            drawn.append(
                f'<rect x="{at:.1f}" y="{top}" width="{max(width, 0.5):.1f}" height="20" '
                f'fill="{colours[name]}"><title>{told}</title></rect>'
            )
            if width > 60:
                drawn.append(
                    f'<text x="{at + 5:.1f}" y="{top + 14}" fill="#fff">{value / total:.0%}</text>'
                )
            at += width
    return "".join(drawn) + "</svg>"


def lengths(counts: Sequence[int]) -> str:
    """Columns of documents by tokens: the n-th is of 2ⁿ to 2ⁿ⁺¹ − 1."""
    if not any(counts):
        return ""
    first = next(i for i, count in enumerate(counts) if count)
    shown = counts[first:]
    wide = min(60.0, (WIDTH - 20) / len(shown))
    most = max(shown)
    drawn = [f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif" font-size="11">']
    for i, count in enumerate(shown):
        left, high = 10 + i * wide, (HEIGHT - 40) * count / most
        drawn.append(
            f'<rect x="{left:.1f}" y="{HEIGHT - 20 - high:.1f}" width="{wide - 3:.1f}" '
            f'height="{high:.1f}" fill="{COLOURS[0]}"/>'
            f'<text x="{left + wide / 2:.1f}" y="{HEIGHT - 24 - high:.1f}" text-anchor="middle">'
            f"{count:,}</text>"
            f'<text x="{left + wide / 2:.1f}" y="{HEIGHT - 6}" text-anchor="middle">'
            f"{1 << (first + i):,}+</text>"
        )
    return "".join(drawn) + "</svg>"
