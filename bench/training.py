"""Training from scratch: Studiolo beside ``transformers.Trainer`` and a lean plain loop with Muon.

``python bench/training.py --data input.txt [--repeats 3] [--steps 2000] [--threads 2]
[--rates 1e-3,2e-3,4e-3,8e-3] [--contestants …] [--json F] [--plot F]``

The text is tinyshakespeare, the network that of the recipe ``shakespeare-char`` (812,416
parameters), the blocks and their order the same for all. The Trainer's peak rate is the best of
``--rates``, each tried in full beforehand; the others take what Studiolo derives from the size.
Then round after round each trains once in full, in a fresh process, and is judged on the same
held-out text on the way. :mod:`bench.lessons` says what the clock counts.
"""

from __future__ import annotations

import json
import platform
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.contestants import TRAINERS, Entrant
from bench.lessons import Lesson, Report, data_path
from bench.measure import Spread, Standing
from bench.process import Process
from bench.rounds import chosen, rounds, warn
from bench.table import require_plotting
from studiolo.errors import InvalidRequestError, StudioloError

HOME, PEER = "studiolo", "transformers.Trainer"
CHILD = "bench.training_child"
POINTS = 20
PATIENCE = 3600.0
WIDTH = 140


@dataclass
class Course:
    """One contestant's reports, round by round."""

    entrant: Entrant
    standing: Standing
    reports: list[Report] = field(default_factory=list)


def learnt(entrant: Entrant, data: str, threads: int, lesson: Lesson) -> tuple[Report, str, float]:
    """One lesson in a fresh process: its report, the contestant's version, seconds to ready."""
    with Process(entrant.module, data, threads, PATIENCE, CHILD) as process:
        answer = process.send(asdict(lesson))
        answer.pop("peak_bytes")
        answer["points"] = [tuple(point) for point in answer["points"]]
        return Report(**answer), process.version, process.seconds_to_ready


def seconds_to(report: Report, loss: float) -> float | None:
    """Seconds until ``loss`` was first measured or passed; None if it never was."""
    return next((seconds for _, seconds, found in report.points if found <= loss), None)


def sooner(courses: Mapping[str, Course]) -> dict[str, list[float]]:
    """Of each contestant and round, its time to the peer's last loss over the peer's own."""
    if PEER not in courses:
        return {}
    found: dict[str, list[float]] = {}
    for name, course in courses.items():
        for report, peer in zip(course.reports, courses[PEER].reports, strict=False):
            reached = seconds_to(report, peer.points[-1][2])
            if reached is not None:
                found.setdefault(name, []).append(reached / peer.points[-1][1])
    return found


def table_of(courses: Mapping[str, Course], title: str) -> Table:
    """A row for each contestant."""
    table = Table(title=title)
    for name in (
        "",
        "tokens/s",
        f"times {HOME}",
        "seconds",
        "validation loss",
        f"time to {PEER}'s loss, of its own",
    ):
        table.add_column(name, justify="right" if name else "left")
    times = sooner(courses)
    rates = {n: [r.tokens / r.seconds for r in c.reports] for n, c in courses.items()}
    for name, course in courses.items():
        if not course.reports:
            continue
        against = [a / b for a, b in zip(rates[name], rates.get(HOME, []), strict=False)]
        reached = times.get(name, [])
        table.add_row(
            f"{name} {course.standing.version}",
            shown(rates[name], ",.0f"),
            shown(against, ".2f"),
            shown([r.seconds for r in course.reports], ",.0f"),
            shown([r.loss for r in course.reports], ".4f"),
            shown(reached, ".2f") if len(reached) == len(course.reports) else "not reached",
        )
    return table


def shown(values: Sequence[float], form: str) -> str:
    """Median and range, or a dash where there is nothing."""
    if not values:
        return "–"
    spread = Spread.of(values)
    return f"{spread.median:{form}} ({spread.low:{form}} – {spread.high:{form}})"


def draw(courses: Mapping[str, Course], path: Path, title: str) -> None:
    """Validation loss over seconds, the first round of each."""
    require_plotting()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    panel = figure.subplots()
    for name, course in courses.items():
        for report in course.reports[:1]:
            _, seconds, losses = zip(*report.points, strict=True)
            panel.plot(seconds, losses, marker="o", markersize=3, label=name)
    panel.set_title(title, fontsize=10)
    panel.set_xlabel("seconds of training")
    panel.set_ylabel("validation loss (nats a character)")
    panel.grid(alpha=0.3)
    panel.legend(fontsize=9)
    figure.savefig(path, dpi=120)


def tuned(
    say: Callable[[str], None], learn: Callable[[float], Report], rates: Sequence[float]
) -> float:
    """The rate whose loss at the end is least."""
    found = {}
    for rate in rates:
        found[rate] = learn(rate).loss
        say(f"{PEER} at a rate of {rate:g}: {found[rate]:.4f}")
    return min(found, key=lambda rate: found[rate])


def numbers(text: str) -> list[float]:
    """Positive numbers, separated by commas; raises :class:`InvalidRequestError`."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < number < 1 for number in found):
        raise InvalidRequestError("rates", f"must be numbers between 0 and 1, not {text!r}")
    return found


def main(
    data: Annotated[str, typer.Option(help="The tinyshakespeare text.")],
    repeats: Annotated[int, typer.Option(min=1, help="Rounds.")] = 3,
    steps: Annotated[int, typer.Option(min=POINTS, help="Steps of a training.")] = 2_000,
    threads: Annotated[int, typer.Option(min=1, help="Threads of each contestant.")] = 2,
    rates: Annotated[
        str, typer.Option(help="Peak rates that the Trainer's is chosen from.")
    ] = "1e-3,2e-3,4e-3,8e-3",
    contestants: Annotated[str | None, typer.Option(help="Only these, by comma.")] = None,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number there.")
    ] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw it there (PNG).")] = None,
) -> None:
    """Compare what training costs and comes to."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    lesson = Lesson(steps, steps // POINTS)
    try:
        if plot_file is not None:
            require_plotting()
        text, given = str(data_path(data)), numbers(rates)
        entrants = chosen([each for each in TRAINERS if each.installed], contestants)
        courses = {each.name: Course(each, Standing(each.name)) for each in entrants}
        rate = None
        if PEER in courses:
            peer = courses[PEER].entrant

            def learn(rate: float) -> Report:
                return learnt(peer, text, threads, Lesson(steps, steps, rate))[0]

            rate = given[0] if len(given) == 1 else tuned(console.print, learn, given)
    except (StudioloError, FileNotFoundError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        raise typer.Exit(130) from None

    def one_round(standing: Standing) -> Mapping[str, float]:
        course = courses[standing.name]
        asked = Lesson(steps, lesson.every, rate if standing.name == PEER else None)
        report, standing.version, start = learnt(course.entrant, text, threads, asked)
        course.reports.append(report)
        return {"start": start}

    standings = [course.standing for course in courses.values()]
    done = rounds(console, standings, repeats, one_round)
    title = (
        f"tinyshakespeare, {steps:,} steps, {threads} threads, {done} rounds, {platform.machine()}"
    )
    console.print(table_of(courses, title))
    console.print("Median and range. Time is compared within each round.")
    if rate is not None:
        console.print(f"{PEER}'s peak rate: {rate:g}, the best of {rates}.")
    warn(console, standings, HOME)
    if json_file is not None:
        known = {n: [asdict(report) for report in c.reports] for n, c in courses.items()}
        json_file.write_text(json.dumps({"title": title, "rate": rate, **known}, indent=1) + "\n")
    if plot_file is not None:
        draw(courses, plot_file, title)


if __name__ == "__main__":
    typer.run(main)
