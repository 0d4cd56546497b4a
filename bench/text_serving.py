"""Many streams of text: Studiolo and its peers on the same weights, in the same run.

``python bench/text_serving.py [--model M] [--repeats 5] [--threads 2] [--streams 1,4,16,64]
[--prompts 22,512,2048] [--quick] [--json F] [--plot F]``

Every round starts each contestant in a fresh process, one after the other (A B C D A B C D …),
and measures each column once (:mod:`bench.serving` says what is timed). Everyone gets the same
token ids, remembers none of them, and goes on past the end token. Beside Studiolo, in the same
process and minute, the limits of the machine are measured: how many bytes it reads, and how many
integer products it adds.
"""

from __future__ import annotations

import json
import platform
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.contestants import SERVERS, Entrant
from bench.limits import Limits, Shares
from bench.measure import Spread, Standing, summary
from bench.passages import docstrings
from bench.process import Process
from bench.requantised import cached
from bench.rounds import chosen, rounds, warn
from bench.serving import SHORT, Plan, round_of
from bench.table import plot, require_plotting, table_of
from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.pull import ensure
from studiolo.errors import InvalidRequestError, StudioloError

HOME = "studiolo"
CHILD = "bench.serving_child"
WIDTH = 220  # of the table where there is no terminal
QUICK = Plan(streams=(1, 4), prompts=(22, 512), tokens=8)
PATIENCE = 3600.0


@dataclass
class Measured:
    """Of Studiolo, round by round: the limits, and its shares of them."""

    limits: list[Limits] = field(default_factory=list)
    shares: list[Shares] = field(default_factory=list)


def prepare(
    bundle: OpenBundle, entrants: Sequence[Entrant], scratch: Path, cache: Path | None = None
) -> tuple[dict[str, str], dict[str, str]]:
    """For each entrant the path that it reads, or the reason why it cannot take part."""
    paths: dict[str, str] = {}
    missing: dict[str, str] = {}
    weights, folder = bundle.bundle.weights, bundle.bundle.path
    for entrant in entrants:
        if not entrant.installed:
            missing[entrant.name] = f"not installed: {entrant.install}"
        elif entrant.reads == "directory":
            paths[entrant.name] = str(folder)
            if weights is not None:
                if not (scratch / "float32").exists():
                    bundle.save(scratch / "float32")
                paths[entrant.name] = str(scratch / "float32")
        elif entrant.reads == "any":
            own = weights if bundle.bundle.installed is None else None
            paths[entrant.name] = str(own or folder)
        elif weights is None:
            missing[entrant.name] = "reads GGUF only, and this model has none"
        elif entrant.reads == "gguf":
            paths[entrant.name] = str(weights)
        else:
            paths[entrant.name] = str(cached(weights, entrant.reads.upper(), cache))
    return paths, missing


def run_round(
    entrant: Entrant,
    model: str,
    threads: int,
    plan: Plan,
    ids: Sequence[int],
    into: Standing,
    limits: Measured | None = None,
) -> dict[str, float]:
    """Start a contestant, measure every column, end it. Raises :class:`ContestantError`."""
    with Process(entrant.module, model, threads, patience=PATIENCE, child=CHILD) as process:
        into.version = process.version
        last: dict[str, object] = {}

        def send(request: Mapping[str, object]) -> Mapping[str, object]:
            answer = process.send(request)
            last.update(answer)
            return answer

        values = round_of(send, plan, ids)
        values["peak"] = float(str(last["peak_bytes"])) / 1e6
        values["start"] = process.seconds_to_ready
        if limits is not None and (found := process.send({"limits": True})["limits"]):
            known = Limits(**found)
            limits.limits.append(known)
            if 1 in plan.streams:
                rates = values["rate_1"], values[f"read_{reading(plan)}"]
                limits.shares.append(Shares.of(known, *rates))
    return values


def reading(plan: Plan) -> int:
    """The length of prompt whose share of the limit is told: long, but with little attention."""
    return min(plan.prompts, key=lambda length: abs(length - 512))


def listed(option: str, values: str) -> tuple[int, ...]:
    """Whole numbers from 1 on, in order; raises :class:`InvalidRequestError`."""
    parts = [part.strip() for part in values.split(",")]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise InvalidRequestError(option, f"{values!r} is not a list of whole numbers from 1 on")
    return tuple(sorted({int(part) for part in parts}))


def told(measured: Measured, plan: Plan, threads: int) -> str:
    """How far the limits are, as lines of text."""
    if not measured.limits:
        return "No limits were measured: that takes x86, a C++ compiler and the compiled library."
    known = measured.limits[-1]

    def spread(values: Sequence[float], scale: float, unit: str) -> str:
        found = Spread.of([value * scale for value in values])
        return f"{found.median:,.1f} {unit} ({found.low:,.1f}–{found.high:,.1f})"

    lines = [
        f"Limits with {threads} threads, {known.level}, beside every round of {HOME}:",
        f"  reading {known.weight_bytes / 1e6:,.0f} MB, the packed weights of one token: "
        + spread([each.bandwidth for each in measured.limits], 1e-9, "GB/s")
        + "; a gigabyte: "
        + spread([each.memory for each in measured.limits], 1e-9, "GB/s"),
        "  multiplying and adding in registers: "
        + spread([each.products for each in measured.limits], 1e-9, "billion products/s"),
    ]
    if measured.shares:
        lines.append(
            "  one stream uses "
            + spread([each.bandwidth for each in measured.shares], 100, "%")
            + f" of the first; reading {reading(plan)} tokens uses "
            + spread([each.products for each in measured.shares], 100, "%")
            + " of the last"
        )
    return "\n".join(lines)


def main(
    model: Annotated[str, typer.Option(help="Name or path of a language model.")] = DEFAULT_MODEL,
    contestants: Annotated[
        str | None, typer.Option(help="Names, separated by commas; all by default.")
    ] = None,
    streams: Annotated[str, typer.Option(help="Streams at once, a column each.")] = "1,4,16,64",
    prompts: Annotated[str, typer.Option(help="Prompt lengths, a column each.")] = "22,512,2048",
    repeats: Annotated[int, typer.Option(min=1, help="Rounds.")] = 5,
    threads: Annotated[int, typer.Option(min=1, help="Threads for each contestant.")] = 2,
    quick: Annotated[
        bool, typer.Option(help="One round of few columns and tokens: does everything work?")
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number there.")
    ] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw it there (PNG).")] = None,
) -> None:
    """Measure many streams of text against its peers."""
    console = Console(width=None if sys.stdout.isatty() else WIDTH)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # end the contestant then, too
    try:
        plan = QUICK if quick else Plan(listed("streams", streams), listed("prompts", prompts))
        entrants = chosen(SERVERS, contestants)
        rounds_wanted = 1 if quick else repeats
        code = bench(console, model, entrants, plan, rounds_wanted, threads, json_file, plot_file)
    except StudioloError as error:
        console.print(str(error), style="red")
        raise typer.Exit(error.exit_code) from None
    raise typer.Exit(code)


def bench(
    console: Console,
    model: str,
    entrants: Sequence[Entrant],
    plan: Plan,
    repeats: int,
    threads: int,
    json_file: Path | None,
    plot_file: Path | None,
) -> int:
    """Prepare, run the rounds, report; returns the exit code."""
    if plot_file is not None:
        require_plotting()
    measured = Measured()
    with tempfile.TemporaryDirectory(prefix="studiolo-bench-") as scratch:
        bundle = OpenBundle.of(ensure(model))
        text = "\n\n".join(docstrings())[: 16 * plan.needed]
        ids = bundle.tokenizer.encode(text)[: plan.needed]
        console.print(f"Preparing {bundle.bundle.name} …")
        paths, missing = prepare(bundle, entrants, Path(scratch))
        by_name = {entrant.name: entrant for entrant in entrants}
        shown = [Standing(name) for name in paths]

        def one(standing: Standing) -> dict[str, float]:
            entrant = by_name[standing.name]
            own = measured if standing.name == HOME else None
            path = paths[standing.name]
            return run_round(entrant, path, threads, plan, ids, standing, own)

        finished = rounds(console, shown, repeats, one)
    title = f"{bundle.bundle.name}, {threads} threads, {finished} of {repeats} rounds"
    console.print(table_of(shown, HOME, title, plan.metrics, "door", lambda _: "in process"))
    console.print(
        f"Median; range below it; × is how many times as good as {HOME} in that column, round by "
        f"round (above 1 is better than {HOME}). Streams: tokens/s of all together after prompts "
        f"of {SHORT}; a stream makes "
        + ", ".join(f"{plan.made(n)} of {n}" for n in plan.streams)
        + f". First token: of a prompt of {SHORT}, alone, and coming while "
        f"{plan.longest:,} are being read."
    )
    if HOME in paths:
        console.print(told(measured, plan, threads), highlight=False)
    for entrant in entrants:
        if entrant.name in missing:
            reason = escape(missing[entrant.name])
            console.print(f"[yellow]{entrant.name} is missing[/yellow]: {reason}")
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
            "plan": asdict(plan),
            "missing": missing,
            "limits": asdict(measured),
            "contestants": summary(shown, HOME, HOME, plan.metrics),
        }
        json_file.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    if plot_file is not None:
        plot(shown, plot_file, title, plan.metrics)
    if finished < repeats:
        return 130
    return 1 if any(standing.problem for standing in shown) else 0


if __name__ == "__main__":
    typer.run(main)
