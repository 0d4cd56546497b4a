"""Show the standings: one rich table, and the same as bars in a picture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.table import Table

from bench.measure import COMPARED, METRICS, Spread, Standing, agreement, ratio
from studiolo.errors import MissingExtraError


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _range(spread: Spread) -> str:
    return f"{_number(spread.low)}–{_number(spread.high)}"


def standings_table(standings: Sequence[Standing], home: str, reference: str, title: str) -> Table:
    """One row for each contestant: median, range, and times as good as ``home``."""
    by_name = {standing.name: standing for standing in standings}
    ours, sure = by_name.get(home), by_name.get(reference)
    table = Table(title=title, show_lines=True)
    table.add_column("", no_wrap=True)
    for metric in METRICS:
        table.add_column(f"{metric.title}\n({metric.unit})", justify="right", no_wrap=True)
    table.add_column(f"same of first\n{COMPARED} tokens", justify="right", no_wrap=True)
    for standing in standings:
        cells = [f"[bold]{standing.name}[/bold]\n{standing.version}"]
        for metric in METRICS:
            spread = standing.spread(metric.key)
            if spread is None:
                cells.append("–")
                continue
            cell = f"[bold]{_number(spread.median)}[/bold]\n{_range(spread)}"
            against = ratio(metric, standing, ours) if ours and standing is not ours else None
            if against:
                cell += f"\n[cyan]{against.median:.2f}×[/cyan] {against.low:.2f}–{against.high:.2f}"
            cells.append(cell)
        if sure is None or not standing.ids:
            cells.append("–")
        else:
            cells.append(
                "\n".join(
                    f"{agreement(ids, sure.ids.get(n, []))} after {n}"
                    for n, ids in standing.ids.items()
                )
            )
        table.add_row(*cells)
    return table


def require_plotting() -> None:
    """Raise :class:`MissingExtraError` now rather than after minutes of measuring."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtraError("a plot", "bench") from None


def plot(standings: Sequence[Standing], path: Path, title: str) -> None:
    """Bars of the medians, with the range as a whisker, one panel for each metric."""
    require_plotting()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 6), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    for panel, metric in zip(figure.subplots(2, 3).flat, METRICS, strict=True):
        shown = [(s.name, spread) for s in standings if (spread := s.spread(metric.key))]
        panel.set_title(f"{metric.title} ({metric.unit})".replace("\n", " "), fontsize=10)
        for place, (name, spread) in enumerate(shown):
            below, above = spread.median - spread.low, spread.high - spread.median
            colour = "#b5651d" if name == "studiolo" else "#9aa5b1"
            panel.barh(place, spread.median, xerr=[[below], [above]], color=colour, capsize=3)
            panel.text(0, place, f" {_number(spread.median)}", va="center", fontsize=9)
        panel.set_yticks(range(len(shown)), [name for name, _ in shown])
        panel.invert_yaxis()
    figure.savefig(path, dpi=120)
