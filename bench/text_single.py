"""One stream of text: Studiolo and its peers on the same weights, in the same run.

``python bench/text_single.py [--model M] [--repeats 5] [--threads 2] [--json F] [--plot F]``

Every round starts each contestant in a fresh process, one after the other (A B C D A B C
D …), lets it make a few tokens unmeasured, and then measures 129 greedy tokens after 22
and after 512 prompt tokens: the time to the first and the rate of the next 128. Everyone
gets the same token ids and goes on past the end token. The first round also asks for the
ids of 16 tokens, so that nobody can be fast by being wrong.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.contestants import ENTRANTS, Entrant
from bench.measure import COMPARED, NEW_TOKENS, PROMPTS, Standing, summary, timings
from bench.process import ContestantError, Process
from bench.requantised import as_q8_0
from bench.table import plot, require_plotting, standings_table
from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.pull import ensure
from studiolo.errors import InvalidRequestError, StudioloError

HOME, REFERENCE = "studiolo", "transformers"
PROSE = Path(__file__).with_name("prose.txt")
NOISY = 0.1
WIDTH = 150  # of the table where there is no terminal


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


def run_round(
    entrant: Entrant, model: str, threads: int, prompts: Mapping[int, list[int]], into: Standing
) -> dict[str, float]:
    """Start a contestant, measure it once, end it. Raises :class:`ContestantError`."""
    values: dict[str, float] = {}
    with Process(entrant.module, model, threads) as process:
        into.version = process.version
        values["start"] = process.seconds_to_ready
        process.ask(prompts[PROMPTS[0]], 8, timed=True)
        for length, prompt in prompts.items():
            answer = process.ask(prompt, NEW_TOKENS + 1, timed=True)
            if answer["made"] != NEW_TOKENS + 1:
                raise ContestantError(
                    f"it made {answer['made']} tokens after {length}, not {NEW_TOKENS + 1}"
                )
            first, rate = timings(answer["ticks"], answer["made"])
            values[f"first_{length}"], values[f"rate_{length}"] = first, rate
            values["peak"] = answer["peak_bytes"] / 1e6
        if not into.ids:
            for length, prompt in prompts.items():
                into.ids[length] = process.ask(prompt, COMPARED, timed=False)["ids"][:COMPARED]
    return values


def watched(
    entrant: Entrant, model: str, threads: int, prompts: Mapping[int, list[int]], into: Standing
) -> None:
    """One round, its failure noted, and how much of the machine others took meanwhile."""
    busy, own, start = busy_seconds(), own_seconds(), time.perf_counter()
    try:
        into.rounds.append(run_round(entrant, model, threads, prompts, into))
    except ContestantError as error:
        into.rounds.append(None)
        into.problem = str(error)
    after = busy_seconds()
    if busy is not None and after is not None:
        capacity = (time.perf_counter() - start) * (os.cpu_count() or 1)
        into.foreign.append(max(0.0, (after - busy - (own_seconds() - own)) / capacity))


def chosen(names: str | None) -> list[Entrant]:
    """The entrants asked for, in the list's order; raises :class:`InvalidRequestError`."""
    if names is None:
        return list(ENTRANTS)
    wanted = [name.strip() for name in names.split(",")]
    unknown = sorted(set(wanted) - {entrant.name for entrant in ENTRANTS})
    if unknown:
        known = ", ".join(entrant.name for entrant in ENTRANTS)
        raise InvalidRequestError("contestants", f"{', '.join(unknown)} not among {known}")
    return [entrant for entrant in ENTRANTS if entrant.name in wanted]


def prepare(
    bundle: OpenBundle, entrants: Sequence[Entrant], scratch: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """For each entrant the path that it reads, or the reason why it cannot take part."""
    paths: dict[str, str] = {}
    missing: dict[str, str] = {}
    weights, folder = bundle.bundle.weights, bundle.bundle.path
    for entrant in entrants:
        if not entrant.installed:
            missing[entrant.name] = f"not installed: {entrant.install}"
        elif entrant.reads in ("gguf", "q8_0") and weights is None:
            missing[entrant.name] = "reads GGUF only, and this model has none"
        elif entrant.reads == "gguf":
            paths[entrant.name] = str(weights)
        elif entrant.reads == "q8_0" and weights is not None:
            paths[entrant.name] = str(as_q8_0(weights, scratch / "q8_0.gguf"))
        elif entrant.reads == "directory" and weights is not None:
            bundle.save(scratch / "float32")
            paths[entrant.name] = str(scratch / "float32")
        elif bundle.bundle.installed is None and weights is not None:
            paths[entrant.name] = str(weights)
        else:
            paths[entrant.name] = str(folder)
    return paths, missing


def main(
    model: Annotated[str, typer.Option(help="Name or path of a language model.")] = DEFAULT_MODEL,
    contestants: Annotated[
        str | None, typer.Option(help="Names, separated by commas; all by default.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads for each contestant.")] = 2,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number there.")
    ] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw it there (PNG).")] = None,
) -> None:
    """Measure one stream of text against its peers."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the contestant then, too
    try:
        code = bench(console, model, contestants, repeats, threads, json_file, plot_file)
    except StudioloError as error:
        console.print(str(error), style="red")
        raise typer.Exit(error.exit_code) from None
    raise typer.Exit(code)


def bench(
    console: Console,
    model: str,
    contestants: str | None,
    repeats: int,
    threads: int,
    json_file: Path | None,
    plot_file: Path | None,
) -> int:
    """Prepare, run the rounds, report; returns the exit code."""
    if plot_file is not None:
        require_plotting()
    entrants = chosen(contestants)
    with tempfile.TemporaryDirectory(prefix="studiolo-bench-") as scratch:
        bundle = OpenBundle.of(ensure(model))
        ids = bundle.tokenizer.encode(PROSE.read_text())
        prompts = {length: ids[:length] for length in PROMPTS}
        console.print(f"Preparing {bundle.bundle.name} …")
        paths, missing = prepare(bundle, entrants, Path(scratch))
        standings = {e.name: Standing(e.name) for e in entrants if e.name in paths}
        finished = rounds(console, entrants, paths, prompts, standings, repeats, threads)
    shown = list(standings.values())
    sure = REFERENCE if REFERENCE in standings and standings[REFERENCE].ids else HOME
    title = f"{bundle.bundle.name}, one stream, {threads} threads, {finished} of {repeats} rounds"
    console.print(standings_table(shown, HOME, sure, title))
    console.print(
        "Median; range below it; × is how many times as good as studiolo in that column, "
        "round by round (above 1 is better than studiolo). The last column: how many of the "
        f"first {COMPARED} greedy tokens are those of {sure}."
    )
    for entrant in entrants:
        if entrant.name in missing:
            console.print(
                f"[yellow]{entrant.name} is missing[/yellow]: {escape(missing[entrant.name])}"
            )
        else:
            console.print(f"[dim]{entrant.name}: {entrant.note}[/dim]")
    warn(console, shown)
    if json_file is not None:
        record = {
            "machine": {"processor": platform.processor() or platform.machine()},
            "python": platform.python_version(),
            "model": bundle.bundle.name,
            "threads": threads,
            "rounds": finished,
            "missing": missing,
            "contestants": summary(shown, HOME, sure),
        }
        json_file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if plot_file is not None:
        plot(shown, plot_file, title)
    if finished < repeats:
        return 130
    return 1 if any(standing.problem for standing in shown) else 0


def rounds(
    console: Console,
    entrants: Sequence[Entrant],
    paths: Mapping[str, str],
    prompts: Mapping[int, list[int]],
    standings: Mapping[str, Standing],
    repeats: int,
    threads: int,
) -> int:
    """All rounds, alternating; Ctrl-C ends them early. Returns how many were finished."""
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=repeats * len(standings))
        for done in range(repeats):
            try:
                for entrant in entrants:
                    if entrant.name not in standings:
                        continue
                    progress.update(task, description=f"round {done + 1}: {entrant.name}")
                    if not console.is_terminal:
                        console.print(f"round {done + 1} of {repeats}: {entrant.name}")
                    watched(entrant, paths[entrant.name], threads, prompts, standings[entrant.name])
                    progress.advance(task)
            except KeyboardInterrupt:
                console.print("Stopped; what was measured follows.", style="yellow")
                return done
    return repeats


def warn(console: Console, standings: Sequence[Standing]) -> None:
    """Say aloud what makes the table worth less."""
    if not any(standing.name != HOME and standing.spread("start") for standing in standings):
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


if __name__ == "__main__":
    typer.run(main)
