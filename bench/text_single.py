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
import platform
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.contestants import ENTRANTS, Entrant
from bench.measure import COMPARED, NEW_TOKENS, PROMPTS, Standing, summary, timings
from bench.process import ContestantError, Process
from bench.requantised import as_q8_0
from bench.rounds import chosen, rounds, warn
from bench.table import plot, require_plotting, standings_table
from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.pull import ensure
from studiolo.errors import StudioloError

HOME, REFERENCE = "studiolo", "transformers"
PROSE = Path(__file__).with_name("prose.txt")
WIDTH = 150  # of the table where there is no terminal


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
    entrants = chosen(ENTRANTS, contestants)
    with tempfile.TemporaryDirectory(prefix="studiolo-bench-") as scratch:
        bundle = OpenBundle.of(ensure(model))
        ids = bundle.tokenizer.encode(PROSE.read_text())
        prompts = {length: ids[:length] for length in PROMPTS}
        console.print(f"Preparing {bundle.bundle.name} …")
        paths, missing = prepare(bundle, entrants, Path(scratch))
        standings = {e.name: Standing(e.name) for e in entrants if e.name in paths}
        by_name = {entrant.name: entrant for entrant in entrants}

        def measured(standing: Standing) -> dict[str, float]:
            entrant = by_name[standing.name]
            return run_round(entrant, paths[standing.name], threads, prompts, standing)

        finished = rounds(console, list(standings.values()), repeats, measured)
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
    warn(console, shown, HOME)
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


if __name__ == "__main__":
    typer.run(main)
