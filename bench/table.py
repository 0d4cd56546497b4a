"""Show the standings: one rich table, and the same as bars in a picture."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from rich.table import Table

from bench.measure import COMPARED, METRICS, Metric, Spread, Standing, agreement, ratio
from studiolo.errors import MissingExtraError


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _range(spread: Spread) -> str:
    return f"{_number(spread.low)}–{_number(spread.high)}"


def standings_table(standings: Sequence[Standing], home: str, reference: str, title: str) -> Table:
    """One row for each contestant: median, range, and times as good as ``home``."""
    sure = next((standing for standing in standings if standing.name == reference), None)

    def same(standing: Standing) -> str:
        if sure is None or not standing.ids:
            return "–"
        counts = {n: agreement(ids, sure.ids.get(n, [])) for n, ids in standing.ids.items()}
        return "\n".join(f"{count} after {n}" for n, count in counts.items())

    return table_of(standings, home, title, METRICS, f"same of first\n{COMPARED} tokens", same)


def table_of(
    standings: Sequence[Standing],
    home: str,
    title: str,
    metrics: Sequence[Metric],
    last: str,
    remark: Callable[[Standing], str],
) -> Table:
    """As :func:`standings_table` of any ``metrics``, with ``remark`` in a column ``last``."""
    ours = next((standing for standing in standings if standing.name == home), None)
    table = Table(title=title, show_lines=True)
    table.add_column("", no_wrap=True)
    for metric in metrics:
        table.add_column(f"{metric.title}\n({metric.unit})", justify="right", no_wrap=True)
    table.add_column(last, justify="right", no_wrap=True)
    for standing in standings:
        cells = [f"[bold]{standing.name}[/bold]\n{standing.version}"]
        for metric in metrics:
            spread = standing.spread(metric.key)
            if spread is None:
                cells.append("–")
                continue
            cell = f"[bold]{_number(spread.median)}[/bold]\n{_range(spread)}"
            against = ratio(metric, standing, ours) if ours and standing is not ours else None
            if against:
                cell += f"\n[cyan]{against.median:.2f}×[/cyan] {against.low:.2f}–{against.high:.2f}"
            cells.append(cell)
        cells.append(remark(standing))
        table.add_row(*cells)
    return table


def require_plotting() -> None:
    """Raise :class:`MissingExtraError` now rather than after minutes of measuring."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        raise MissingExtraError("a plot", "bench") from None


def plot(
    standings: Sequence[Standing], path: Path, title: str, metrics: Sequence[Metric] = METRICS
) -> None:
    """Bars of the medians, with the range as a whisker, one panel for each metric."""
    require_plotting()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = -(-len(metrics) // 3)
    figure = Figure(figsize=(12, 3 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    panels = list(figure.subplots(lines, 3, squeeze=False).flat)
    for panel in panels[len(metrics) :]:
        panel.set_axis_off()
    for panel, metric in zip(panels, metrics, strict=False):
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
