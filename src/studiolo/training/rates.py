"""Which rate to learn at: raised from step to step until the loss bursts (Smith 2017, section 3.3).

A hundred steps from the start, each at a rate higher by the same factor than the one before, over
five powers of ten about those of the recipe; AdamW's and Muon's are raised together. What is
suggested is a third of the rate at which the loss is lowest. Where it falls fastest, which others
take, tells of a language model but when it learns how frequent each token is. Nothing is kept of
what was learnt. Knows runs; does not know what is shown to whom.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory

from studiolo.record.journal import replace_file
from studiolo.training.checkpoint import Checkpoints
from studiolo.training.curve import Line, curves
from studiolo.training.loop import Course, DivergedError
from studiolo.training.report import STYLE
from studiolo.training.run import Run
from studiolo.training.workshop import FOLDER, RATES

STEPS = 100
LOWEST, HIGHEST = 1e-3, 1e2
"""Of the recipe's own rates."""
BURST = 1.5
"""Times the loss at the start, above which nothing is to be learnt any more."""
MARGIN = 3
"""The loss is lowest where the rate is too high already; a third of that was the best of a tenth, a
third and all of it, with either optimiser, for the recipe ``shakespeare-char``."""
BESIDE = 4
"""Steps on either side over which the loss is averaged: a centred mean, which shifts no curve."""


def rising(step: int) -> float:
    """The factor of a step: from :data:`LOWEST` to :data:`HIGHEST`, evenly in its logarithm."""
    return float(LOWEST * (HIGHEST / LOWEST) ** (step / (STEPS - 1)))


def step_of(factor: float) -> int:
    """The step whose factor is nearest to that one."""
    return round(math.log(factor / LOWEST) / math.log(HIGHEST / LOWEST) * (STEPS - 1))


@dataclass(frozen=True)
class Rates:
    """What was found. ``losses``: of each step; ``rate``, ``matrix_rate``: of the recipe, or None.

    ``burst``: whether the loss did; else the highest factor was borne.
    """

    losses: Sequence[float]
    rate: float
    matrix_rate: float | None
    burst: bool

    @property
    def smooth(self) -> list[float]:
        """The loss at each step, averaged over those beside it."""
        parts = (self.losses[max(0, i - BESIDE) : i + BESIDE + 1] for i in range(len(self.losses)))
        return [sum(part) / len(part) for part in parts]

    @property
    def lowest(self) -> float:
        """The factor at which the loss is lowest."""
        smooth = self.smooth
        return rising(smooth.index(min(smooth)))

    @property
    def suggested(self) -> float:
        """The factor to train at: some way below that."""
        return max(LOWEST, self.lowest / MARGIN)

    @property
    def tried(self) -> float:
        """The highest factor at which a step was taken."""
        return rising(len(self.losses) - 1)

    def settings(self) -> dict[str, float]:
        """The rates suggested, by their fields, to two digits."""
        found = {"optimiser.rate": self.rate, "optimiser.matrix_rate": self.matrix_rate}
        return {
            name: float(f"{value * self.suggested:.2g}")
            for name, value in found.items()
            if value is not None
        }


@dataclass
class _Seen:
    losses: list[float] = field(default_factory=list)

    def step(self, course: Course, loss: float, norm: float, rate: float) -> None:
        """As :meth:`Watcher.step`."""
        self.losses.append(loss)

    def evaluated(self, course: Course, validation: float) -> None:
        """Nothing is evaluated."""


def find_rates(run: Run, stop: Callable[[], bool] = lambda: False) -> Rates | None:
    """Try them on the run's own network and data; None if ``stop``, asked after each step, says so.

    Raises :class:`DivergedError` if the very first step has no finite loss.
    """
    seen, plan, burst = _Seen(), run.plan, False
    with TemporaryDirectory() as folder:
        loop = run.made(Checkpoints(Path(folder))).loop
        loop.pace = replace(loop.pace, steps=STEPS, factor=rising)
        loop.watchers = [seen]
        while loop.course.step < STEPS and not burst:
            try:
                loop.step()
            except DivergedError:
                if not seen.losses:
                    raise
                burst = True
            else:
                burst = seen.losses[-1] > BURST * seen.losses[0]
            if run.processes.any(stop()):
                return None
    matrix_rate = plan.matrix_rate if plan.optimiser == "muon" else None
    return Rates(seen.losses, plan.rate, matrix_rate, burst)


def write_page(folder: Path, name: str, rates: Rates) -> Path:
    """The curve as an HTML page in the ``folder`` of a run that may begin yet; gives its path."""
    path = folder / FOLDER / RATES
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, page(name, rates).encode())
    return path


def page(name: str, rates: Rates) -> str:
    """The page itself, which needs nothing else."""

    def line(title: str, losses: Sequence[float]) -> Line:
        return Line(title, [(math.log10(rates.rate * rising(i)), y) for i, y in enumerate(losses)])

    rows = {
        **{field: f"{value:g}" for field, value in rates.settings().items()},
        "factor of the recipe's": f"{rates.suggested:.3g}",
        "loss is lowest at": f"{rates.lowest:.3g} times the recipe's rates",
        "loss bursts": f"at {rates.tried:.3g} times" if rates.burst else "nowhere",
    }
    table = "".join(
        f"<tr><td>{escape(key)}</td><td>{escape(value)}</td></tr>" for key, value in rows.items()
    )
    drawn = curves(
        [line("each step", rates.losses), line("mean", rates.smooth)],
        "optimiser.rate, as a power of ten",
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        f"<title>{escape(name)}: rates</title><style>{STYLE}</style>\n"
        f"<h1>{escape(name)}: rates</h1>\n<h2>Loss (nats a token) while the rate rises</h2>\n"
        f"{drawn}\n<h2>Suggested</h2>\n<table>{table}</table>\n"
    )
