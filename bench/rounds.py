"""Rounds: every contestant once, one after the other, again and again, and how quiet it was.

Alternating, so that whatever slows the machine for a while slows all of them. Knows nothing
of what a round measures: that is handed in.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from bench.contestants import Entrant
from bench.measure import Standing
from bench.process import ContestantError
from studiolo.errors import InvalidRequestError

NOISY = 0.1
Measured = Callable[[Standing], Mapping[str, float]]
"""One round of one contestant: its numbers by metric. May raise :class:`ContestantError`."""


def busy_seconds() -> float | None:
    """Processor seconds that anything on this machine has used (Linux), stolen ones included."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return None
    user, nice, system, _idle, _wait, irq, softirq, steal = (
        int(x) for x in stat.read_text().split("\n", 1)[0].split()[1:9]
    )
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def own_seconds() -> float:
    """Processor seconds of this process and of those contestants that have ended."""
    uses = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(use.ru_utime + use.ru_stime for use in uses)


def watched(into: Standing, measured: Measured) -> None:
    """One round, its failure noted, and how much of the machine others took meanwhile."""
    busy, own, start = busy_seconds(), own_seconds(), time.perf_counter()
    try:
        into.rounds.append(measured(into))
    except ContestantError as error:
        into.rounds.append(None)
        into.problem = str(error)
    after = busy_seconds()
    if busy is not None and after is not None:
        capacity = (time.perf_counter() - start) * (os.cpu_count() or 1)
        into.foreign.append(max(0.0, (after - busy - (own_seconds() - own)) / capacity))


def chosen(entrants: Sequence[Entrant], names: str | None) -> list[Entrant]:
    """The entrants asked for, in the list's order; raises :class:`InvalidRequestError`."""
    if names is None:
        return list(entrants)
    wanted = [name.strip() for name in names.split(",")]
    unknown = sorted(set(wanted) - {entrant.name for entrant in entrants})
    if unknown:
        known = ", ".join(entrant.name for entrant in entrants)
        raise InvalidRequestError("contestants", f"{', '.join(unknown)} not among {known}")
    return [entrant for entrant in entrants if entrant.name in wanted]


def rounds(
    console: Console, standings: Sequence[Standing], repeats: int, measured: Measured
) -> int:
    """All rounds, alternating; Ctrl-C ends them early. Returns how many were finished."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=repeats * len(standings))
        for done in range(repeats):
            try:
                for standing in standings:
                    progress.update(task, description=f"round {done + 1}: {standing.name}")
                    if not console.is_terminal:
                        console.print(f"round {done + 1} of {repeats}: {standing.name}")
                    watched(standing, measured)
                    progress.advance(task)
            except KeyboardInterrupt:
                console.print("Stopped; what was measured follows.", style="yellow")
                return done
    return repeats


def warn(console: Console, standings: Sequence[Standing], home: str) -> None:
    """Say aloud what makes the table worth less."""
    if not any(standing.name != home and standing.spread("start") for standing in standings):
        console.print(
            "NO PEER TOOK PART: this compares Studiolo with nothing. "
            "pip install 'studiolo\\[bench]'",
            style="bold red",
        )
    for standing in standings:
        if standing.problem:
            console.print(f"{standing.name} failed: {standing.problem}", style="red", markup=False)
    noisy = [share for standing in standings for share in standing.foreign]
    if noisy and max(noisy) > NOISY:
        console.print(
            f"Others, here or on the same host, took up to {max(noisy):.0%} of the processors "
            "during a measurement: repeat it when the machine is quiet.",
            style="bold yellow",
        )
