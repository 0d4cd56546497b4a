"""What is measured, and the statistics: medians, ranges, ratios round by round, agreement.

Pure: no process is started and nothing is printed here. Every number of one round of one
contestant is a :class:`Round`; ratios compare the two contestants' numbers of the same
round, so that a machine that slows down for a while slows both sides of a ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import median

PROMPTS = (22, 512)
NEW_TOKENS = 128
COMPARED = 16


@dataclass(frozen=True)
class Metric:
    """One column. ``bigger_is_better`` decides which way a ratio is turned."""

    key: str
    title: str
    unit: str
    bigger_is_better: bool = False


METRICS = (
    *(Metric(f"first_{n}", f"first token,\n{n} before", "ms") for n in PROMPTS),
    *(
        Metric(f"rate_{n}", f"next {NEW_TOKENS},\n{n} before", "tokens/s", bigger_is_better=True)
        for n in PROMPTS
    ),
    Metric("peak", "peak memory", "MB"),
    Metric("start", "start-up", "s"),
)


@dataclass(frozen=True)
class Spread:
    """Median, least and greatest."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one or more values."""
        return cls(median(values), min(values), max(values))


@dataclass
class Standing:
    """What is known of one contestant. ``rounds``: metric values by key, None if it failed."""

    name: str
    version: str = ""
    rounds: list[Mapping[str, float] | None] = field(default_factory=list)
    ids: dict[int, list[int]] = field(default_factory=dict)
    problem: str = ""
    foreign: list[float] = field(default_factory=list)

    def spread(self, key: str) -> Spread | None:
        """Over the rounds that succeeded; None where there is no such number."""
        values = [values[key] for values in self.rounds if values is not None and key in values]
        return Spread.of(values) if values else None


def timings(ticks: Sequence[float], made: int) -> tuple[float, float]:
    """Milliseconds to the first tick, and tokens per second from the first to the last.

    ``ticks``: seconds since the request. A withheld token delays its tick to the next one's,
    so the count is ``made`` and not the number of ticks.
    """
    return ticks[0] * 1e3, (made - 1) / max(ticks[-1] - ticks[0], 1e-9)


def ratio(metric: Metric, standing: Standing, home: Standing) -> Spread | None:
    """How many times as good as ``home``, round by round: above 1 is better than ``home``."""
    both = [
        (theirs[metric.key], ours[metric.key])
        for theirs, ours in zip(standing.rounds, home.rounds, strict=False)
        if theirs is not None and ours is not None and metric.key in theirs and metric.key in ours
    ]
    if not both:
        return None
    if metric.bigger_is_better:
        return Spread.of([theirs / ours for theirs, ours in both])
    return Spread.of([ours / theirs for theirs, ours in both])


def agreement(ids: Sequence[int], reference: Sequence[int]) -> int:
    """Length of the common beginning. What follows a difference cannot be compared."""
    same = 0
    for ours, theirs in zip(ids, reference, strict=False):
        if ours != theirs:
            break
        same += 1
    return same


def summary(
    standings: Sequence[Standing],
    home: str,
    reference: str,
    metrics: Sequence[Metric] = METRICS,
) -> dict[str, object]:
    """Everything, for JSON: raw rounds, spreads, ratios to ``home``, agreement."""
    by_name = {standing.name: standing for standing in standings}
    ours, sure = by_name.get(home), by_name.get(reference)
    result: dict[str, object] = {}
    for standing in standings:
        known: dict[str, object] = asdict(standing)
        for metric in metrics:
            spread = standing.spread(metric.key)
            against = ratio(metric, standing, ours) if ours else None
            known[metric.key] = {
                "unit": metric.unit,
                "value": asdict(spread) if spread else None,
                f"times_{home}": asdict(against) if against else None,
            }
        if sure:
            known["agreement"] = {
                str(n): agreement(ids, sure.ids.get(n, [])) for n, ids in standing.ids.items()
            }
        result[standing.name] = known
    return result
