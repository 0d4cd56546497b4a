"""Four times as much as it can do, for minutes: Studiolo's server and llama.cpp's.

``python bench/load.py [--model M] [--minutes 10] [--times 4] [--threads 2] [--contestants A,B]
[--json F] [--plot F]``

First each request is asked alone, which says what it is owed. Then 64 clients that wait for their
answers say how many a second the server can do. Then clients come at ``times`` that rate,
whether or not anybody has left, of all kinds (:mod:`bench.crowd`), and none waits longer than a
minute. Every answer is compared with the one that was given alone.
"""

from __future__ import annotations

import asyncio
import json
import platform
import resource
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.contestants import SERVERS
from bench.crowd import Ask, Kind, Solo, Tally, growth, kinds, next_kind, percentile
from bench.passages import docstrings
from bench.process import ContestantError
from bench.rounds import chosen
from bench.served import Served, llama_cpp, studiolo
from bench.table import require_plotting
from bench.wire import Address, Reply, ask, digests_of, text_of
from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.pull import ensure
from studiolo.errors import StudioloError

HOME = "studiolo"
CLIENTS = 64
"""Clients at once while the rate is measured."""
SLOTS = 16
"""Of llama.cpp's server: what it does at once."""
CONTEXT = 512
ASKS = 48
PATIENCE = 60.0
"""Seconds that a client waits before it gives up."""
FILES = 8192
"""Connections that may be open at once, where the system lets them."""
FLAT = 0.05


@dataclass
class Result:
    """What was measured of one server. ``sizes``: bytes of its memory, second by second."""

    name: str
    rate: float = 0.0
    offered: float = 0.0
    seconds: float = 0.0
    tally: Tally = field(default_factory=Tally)
    sizes: list[int] = field(default_factory=list)
    ended: int | None = None
    problem: str = ""


def asks(count: int) -> list[Ask]:
    """Requests of different lengths, each with a seed."""
    texts = docstrings()
    return [
        Ask(
            {
                "prompt": texts[i * len(texts) // count][: 40 + 20 * (i % 20)],
                "max_tokens": 8 + i % 25,
                "temperature": 0.8,
                "seed": i,
            }
        )
        for i in range(count)
    ]


async def alone(address: Address, wanted: Sequence[Ask], *, receipts: bool) -> list[Solo]:
    """What each is answered when nobody else asks. Raises :class:`ContestantError`."""
    found = []
    for each in wanted:
        reply = await ask(address, each.sent("receipt" if receipts else "whole", 0))
        text = text_of(reply)
        if text is None:
            raise ContestantError(f"asked alone, it answered {reply.status}: {reply.body[:200]!r}")
        found.append(Solo(text, digests_of(reply)))
    return found


async def sustained(address: Address, wanted: Sequence[Ask], seconds: float) -> float:
    """Requests a second of clients that wait for their answers."""
    end, done = time.perf_counter() + seconds, 0

    async def client(number: int) -> None:
        nonlocal done
        while time.perf_counter() < end:
            reply = await ask(address, wanted[number % len(wanted)].sent("whole", 0))
            done += reply.status == 200
            number += CLIENTS

    start = time.perf_counter()
    await asyncio.gather(*(client(i) for i in range(CLIENTS)))
    return done / (time.perf_counter() - start)


def manner(kind: Kind, number: int) -> dict[str, object]:
    """How a client of that kind reads."""
    if kind == "slow":
        return {"pause": 0.3}
    if kind == "gone":
        after = number % 3  # before the answer, after its head, after some of it
        return {"leaves": lambda reply: len(reply.body) >= after * 200}
    return {}


async def crowd(
    address: Address,
    wanted: Sequence[Ask],
    solos: Sequence[Solo],
    result: Result,
    until: float,
    look: Callable[[], int],
    receipts: bool,
) -> None:
    """Let clients come until ``until``, and wait for the last of them."""
    source, begun, number = kinds(1), time.perf_counter(), 0
    running: set[asyncio.Task[None]] = set()

    async def one(kind: Kind, number: int) -> None:
        wish = number % len(wanted)
        asking: Awaitable[Reply] = ask(
            address,
            wanted[wish].sent(kind, number),
            **manner(kind, number),  # type: ignore[arg-type]
        )
        try:
            # Of those who leave, some do so while they still wait.
            patience = 0.2 if kind == "gone" and number % 2 else PATIENCE
            reply = await asyncio.wait_for(asking, patience)
        except TimeoutError:
            if kind != "gone":
                result.tally.given_up += 1
                return
            reply = Reply()
        result.tally.note(kind, reply, solos[wish])

    async def watch() -> None:
        while True:
            result.sizes.append(look())
            await asyncio.sleep(1.0)

    watching = asyncio.create_task(watch())
    while (now := time.perf_counter()) < until:
        due = begun + number / result.offered
        if due > now:
            await asyncio.sleep(due - now)
        kind = next_kind(source)
        task = asyncio.create_task(
            one("whole" if kind == "receipt" and not receipts else kind, number)
        )
        running.add(task)
        task.add_done_callback(running.discard)
        number += 1
    result.seconds = time.perf_counter() - begun
    await asyncio.gather(*running)
    watching.cancel()


def measure(
    console: Console, name: str, command: Sequence[str], threads: int, seconds: float, times: float
) -> Result:
    """All of one server."""
    result, wanted, receipts = Result(name), asks(ASKS), name == HOME
    try:
        with Served(command, threads) as served:

            async def all_of_it() -> None:
                solos = await alone(served.address, wanted, receipts=receipts)
                result.rate = await sustained(served.address, wanted, min(20.0, seconds))
                result.offered = times * result.rate
                console.print(
                    f"{name}: {result.rate:.1f} requests/s; {result.offered:.1f} come from now on"
                )
                until = time.perf_counter() + seconds
                look = served.resident
                await crowd(served.address, wanted, solos, result, until, look, receipts)
                # Afterwards it must be as it was: what was right alone is right again.
                for each, solo in list(zip(wanted, solos, strict=True))[:8]:
                    result.tally.note(
                        "whole", await ask(served.address, each.sent("whole", 0)), solo
                    )

            asyncio.run(all_of_it())
            if not served.alive:
                result.problem = f"it ended: {served.last_words()}"
            result.ended = served.stop()
    except ContestantError as error:
        result.problem = str(error)
    return result


def table_of(results: Sequence[Result], title: str) -> Table:
    """One column for each server."""
    table = Table(title=title)
    table.add_column("")
    for result in results:
        table.add_column(result.name, justify="right")

    def row(label: str, value: Callable[[Result], object]) -> None:
        table.add_row(label, *(str(value(result)) for result in results))

    def seconds(values: Callable[[Tally], list[float]], share: float) -> Callable[[Result], str]:
        def shown(result: Result) -> str:
            found = percentile(values(result.tally), share)
            return "–" if found is None else f"{found:.2f}"

        return shown

    row("can do, requests/s", lambda r: f"{r.rate:.1f}")
    row("came, requests/s", lambda r: f"{r.offered:.1f}")
    row("for seconds", lambda r: f"{r.seconds:.0f}")
    row("clients", lambda r: f"{sum(r.tally.verdicts.values()) + r.tally.given_up:,}")
    row("answered as alone", lambda r: f"{r.tally.answered:,}")
    row("a second", lambda r: f"{r.tally.answered / r.seconds:.1f}" if r.seconds else "–")
    row("answered otherwise than alone", lambda r: f"{r.tally.count('altered'):,}")
    row("lost or cut short", lambda r: f"{r.tally.count('lost'):,}")
    row("told to come back later", lambda r: f"{r.tally.count('shed'):,}")
    row("  without saying when", lambda r: f"{r.tally.unclear:,}")
    row(f"gave up after {PATIENCE:.0f} s", lambda r: f"{r.tally.given_up:,}")
    row("refused as they should be", lambda r: f"{r.tally.count('refused'):,}")
    row("otherwise", lambda r: f"{r.tally.count('odd'):,}")
    row("answer, p50 (s)", seconds(lambda t: t.seconds, 0.50))
    row("answer, p99 (s)", seconds(lambda t: t.seconds, 0.99))
    row("first piece of a stream, p50 (s)", seconds(lambda t: t.firsts, 0.50))
    row("first piece of a stream, p99 (s)", seconds(lambda t: t.firsts, 0.99))
    row("memory, most (MB)", lambda r: f"{max(r.sizes, default=0) / 1e6:,.0f}")
    row("  last quarter over second", grown)
    row("exit code when told to stop", lambda r: "–" if r.ended is None else r.ended)
    return table


def grown(result: Result) -> str:
    """The growth of a server's memory, as it is shown."""
    found = growth(result.sizes)
    return "–" if found is None else f"{found:+.1%}"


def plot(results: Sequence[Result], path: Path) -> None:
    """Memory second by second, and how the times of answers are spread."""
    require_plotting()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    FigureCanvasAgg(figure)
    memory, times = figure.subplots(1, 2)
    for result in results:
        colour = "#b5651d" if result.name == HOME else "#9aa5b1"
        memory.plot([size / 1e6 for size in result.sizes], label=result.name, color=colour)
        ordered = sorted(result.tally.seconds)
        shares = [(i + 1) / len(ordered) for i in range(len(ordered))]
        times.plot(ordered, shares, label=result.name, color=colour)
    memory.set_title("memory under load (MB), by second")
    memory.set_ylim(bottom=0)
    times.set_title("share of answers within so many seconds")
    for panel in (memory, times):
        panel.legend()
    figure.savefig(path, dpi=120)


def failed(result: Result) -> bool:
    """Whether our own server did what it must not."""
    tally, more = result.tally, growth(result.sizes)
    wrong = tally.count("altered") + tally.count("lost") + tally.count("odd") + tally.unclear
    return bool(result.problem or wrong or result.ended != 0 or (more is not None and more > FLAT))


def main(
    model: Annotated[str, typer.Option(help="Name of a language model.")] = DEFAULT_MODEL,
    minutes: Annotated[float, typer.Option(min=0.05, help="Of load, for each server.")] = 10.0,
    times: Annotated[float, typer.Option(min=0.1, help="What comes over what can be done.")] = 4.0,
    threads: Annotated[int, typer.Option(min=1, help="Threads for each server.")] = 2,
    contestants: Annotated[str, typer.Option(help="Names, separated by commas.")] = (
        "studiolo,llama.cpp"
    ),
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number there.")
    ] = None,
    plot_file: Annotated[Path | None, typer.Option("--plot", help="Draw it there (PNG).")] = None,
) -> None:
    """Put servers under more load than they can bear."""
    console = Console(width=None if sys.stdout.isatty() else 100)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with suppress(ValueError, OSError):
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(FILES, most), most))
    try:
        if plot_file is not None:
            require_plotting()
        entrants = chosen(SERVERS, contestants)
        bundle = OpenBundle.of(ensure(model)).bundle
    except StudioloError as error:
        console.print(str(error), style="red")
        raise typer.Exit(error.exit_code) from None
    results = []
    with tempfile.TemporaryDirectory(prefix="studiolo-bench-") as scratch:
        for entrant in entrants:
            if not entrant.installed:
                console.print(f"{entrant.name} is missing: {entrant.install}", style="yellow")
            elif entrant.name == HOME:
                command = studiolo(model, Path(scratch) / "records.db")
                results.append(measure(console, HOME, command, threads, 60 * minutes, times))
            elif entrant.reads == "gguf" and bundle.weights is not None:
                command = llama_cpp(str(bundle.weights), threads, SLOTS, CONTEXT)
                results.append(
                    measure(console, entrant.name, command, threads, 60 * minutes, times)
                )
            else:
                console.print(f"{entrant.name} cannot serve this model here", style="yellow")
    console.print(table_of(results, f"{bundle.name}, {threads} threads, {times:g}× its rate"))
    for result in results:
        if result.problem:
            console.print(f"{result.name}: {result.problem}", style="red", markup=False)
    if json_file is not None:
        record = {
            "machine": {"processor": platform.processor() or platform.machine()},
            "model": bundle.name,
            "threads": threads,
            "servers": [told(result) for result in results],
        }
        json_file.write_text(json.dumps(record, indent=1) + "\n")
    if plot_file is not None:
        plot(results, plot_file)
    raise typer.Exit(any(failed(result) for result in results if result.name == HOME))


def told(result: Result) -> dict[str, object]:
    """For JSON."""
    verdicts = {f"{kind} {verdict}": n for (kind, verdict), n in result.tally.verdicts.items()}
    tally = {**vars(result.tally), "verdicts": verdicts}
    return {**vars(result), "tally": tally, "growth": growth(result.sizes)}


if __name__ == "__main__":
    typer.run(main)
