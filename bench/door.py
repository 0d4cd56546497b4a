"""What the door costs: tokens a second, and milliseconds a request, with HTTP and without.

``python bench/door.py [--model M] [--repeats 5] [--streams 16] [--tokens 64] [--requests 50]
[--threads 2] [--json F]``

The engine in one process, as :mod:`bench.contestants.studiolo_serving` drives it, and ``studiolo
serve`` in another, asked over HTTP by this one; both have loaded the model and only one works at a
time. They take turns, stream batch by stream batch and request by request, so that whatever slows
the machine slows both, and no prompt comes twice. Every stream is told of each of its tokens. What
the client costs is in the door's figures.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

if __name__ == "__main__":  # as a script, only this folder is on the path
    sys.path[0] = str(Path(__file__).resolve().parent.parent)

from bench.measure import Spread
from bench.passages import docstrings
from bench.process import ContestantError, Process
from bench.rounds import NOISY, busy_seconds, own_seconds
from bench.served import Served, studiolo
from bench.serving import SHORT, Prompts, decoded
from bench.wire import Address, Reply, ask, posted
from studiolo.bundle.catalogue import DEFAULT_MODEL
from studiolo.bundle.opening import OpenBundle
from studiolo.bundle.pull import ensure
from studiolo.errors import StudioloError

SHARE = 0.95
"""Of the engine's tokens a second that are to be had through the door."""
ADDED = 2.0
"""Milliseconds that it may add to a request."""
Together = Callable[[Prompts, int], float]
"""Seconds that it takes to continue all prompts at once by so many tokens."""


@dataclass(frozen=True)
class Plan:
    """``streams`` at once, each of so many ``tokens``, and so many single ``requests``."""

    streams: int
    tokens: int
    requests: int

    def needed(self, repeats: int) -> int:
        """Tokens of text for all rounds, and to warm up."""
        return SHORT * (self.streams + repeats * (2 * self.streams + self.requests))


@dataclass
class Measured:
    """Round by round: tokens a second, and seconds of each single request."""

    engine: list[float] = field(default_factory=list)
    door: list[float] = field(default_factory=list)
    alone: list[list[float]] = field(default_factory=list)
    asked: list[list[float]] = field(default_factory=list)

    @property
    def share(self) -> Spread:
        """The door's tokens a second over the engine's, round by round."""
        return Spread.of([d / e for d, e in zip(self.door, self.engine, strict=True)])

    @property
    def added(self) -> Spread:
        """Milliseconds that the door adds to the median request, round by round."""
        pairs = zip(self.asked, self.alone, strict=True)
        return Spread.of([1e3 * (median(door) - median(engine)) for door, engine in pairs])


class Texts:
    """Prompts of which none comes twice: a server may remember what it has read."""

    def __init__(self, ids: Sequence[int]) -> None:
        self._ids, self._next = ids, 0

    def take(self, count: int) -> Prompts:
        """The next ``count`` prompts; raises :class:`ContestantError` when there are no more."""
        start, self._next = self._next, self._next + count * SHORT
        if self._next > len(self._ids):
            raise ContestantError("there is too little text for so many prompts")
        return [self._ids[i : i + SHORT] for i in range(start, self._next, SHORT)]


def rate(together: Together, first: Prompts, then: Prompts, tokens: int) -> float:
    """Tokens a second of all streams, without the work of reading their prompts."""
    one = together(first, 1)
    return decoded(len(then), tokens, one, together(then, tokens + 1))


def round_of(
    engine: Together,
    door: Together,
    texts: Texts,
    plan: Plan,
    into: Measured,
) -> None:
    """Measure both once, by turns, on the same prompts."""
    first, then = texts.take(plan.streams), texts.take(plan.streams)
    into.engine.append(rate(engine, first, then, plan.tokens))
    into.door.append(rate(door, first, then, plan.tokens))
    alone, asked = [], []
    for _ in range(plan.requests):
        prompt = texts.take(1)
        alone.append(engine(prompt, 1))
        asked.append(door(prompt, 1))
    into.alone.append(alone)
    into.asked.append(asked)


def in_process(process: Process) -> Together:
    """The engine of a contestant's process."""

    def together(prompts: Prompts, count: int) -> float:
        answer = process.send({"prompts": prompts, "count": count})
        if answer["made"] != [count] * len(prompts):
            raise ContestantError(f"asked for {count} tokens of each, it made {answer['made']}")
        return float(answer["seconds"])

    return together


def through(address: Address) -> Together:
    """A server, asked for streams."""

    def request(prompt: Sequence[int], count: int) -> bytes:
        return posted(
            "/v1/completions",
            {
                "prompt": list(prompt),
                "max_tokens": count,
                "ignore_eos": True,
                "temperature": 0.0,
                "repetition_penalty": 1.0,
                "seed": 0,
                "stream": True,
                "stream_options": {"include_usage": True},
            },
        )

    async def all_of(requests: Sequence[bytes]) -> tuple[float, list[Reply]]:
        start = time.perf_counter()
        replies = await asyncio.gather(*(ask(address, each) for each in requests))
        return time.perf_counter() - start, replies

    def together(prompts: Prompts, count: int) -> float:
        seconds, replies = asyncio.run(all_of([request(prompt, count) for prompt in prompts]))
        for reply in replies:
            if (made := completed(reply)) != count:
                raise ContestantError(f"asked for {count} tokens, it made {made} ({reply.status})")
        return seconds

    return together


def completed(reply: Reply) -> int | None:
    """How many tokens a stream says that it has; None of one that is not whole."""
    events = [line[6:] for line in reply.body.split(b"\n") if line.startswith(b"data: ")]
    if not reply.whole or len(events) < 2 or events[-1] != b"[DONE]":
        return None
    return int(json.loads(events[-2])["usage"]["completion_tokens"])


def table_of(measured: Measured, title: str) -> Table:
    """The engine, the door, and the one over the other."""
    table = Table(title=title)
    for name in ("", "engine", "door", "door ÷ engine", "goal"):
        table.add_column(name, justify="left" if not name else "right")

    def spread(values: Spread, form: str) -> str:
        return f"{values.median:{form}} ({values.low:{form}} – {values.high:{form}})"

    table.add_row(
        "tokens/s of all streams",
        spread(Spread.of(measured.engine), ",.0f"),
        spread(Spread.of(measured.door), ",.0f"),
        spread(measured.share, ".1%"),
        f"≥ {SHARE:.0%}",
    )
    alone, asked = ([1e3 * median(each) for each in x] for x in (measured.alone, measured.asked))
    table.add_row(
        "a request, p50 (ms)",
        spread(Spread.of(alone), ".2f"),
        spread(Spread.of(asked), ".2f"),
        f"+ {spread(measured.added, '.2f')}",
        f"≤ {ADDED:g} more",
    )
    return table


def main(
    model: Annotated[str, typer.Option(help="Name of a language model.")] = DEFAULT_MODEL,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds.")] = 5,
    streams: Annotated[int, typer.Option(min=1, help="Streams at once.")] = 16,
    tokens: Annotated[int, typer.Option(min=1, help="Tokens of a stream.")] = 64,
    requests: Annotated[int, typer.Option(min=1, help="Single requests in a round.")] = 50,
    threads: Annotated[int, typer.Option(min=1, help="Threads for each.")] = 2,
    json_file: Annotated[
        Path | None, typer.Option("--json", help="Write every number there.")
    ] = None,
) -> None:
    """Measure what HTTP costs."""
    console = Console(width=None if sys.stdout.isatty() else 120)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    measured = Measured()
    busy, own, start = busy_seconds(), own_seconds(), time.perf_counter()
    try:
        bundle = OpenBundle.of(ensure(model))
        plan = Plan(streams, tokens, requests)
        text = "\n\n".join(docstrings())[: 16 * plan.needed(repeats)]
        texts = Texts(bundle.tokenizer.encode(text))
        path = str(bundle.bundle.weights or bundle.bundle.path)
        with (
            tempfile.TemporaryDirectory(prefix="studiolo-bench-") as scratch,
            Process(
                "bench.contestants.studiolo_serving", path, threads, child="bench.serving_child"
            ) as process,
            Served(studiolo(model, Path(scratch) / "records.db"), threads) as served,
        ):
            engine, door = in_process(process), through(served.address)
            warming = texts.take(streams)
            for each in (engine, door):  # the first step may prepare things
                each(warming, 2)
            for number in range(repeats):
                console.print(f"round {number + 1} of {repeats}")
                round_of(engine, door, texts, plan, measured)
    except (StudioloError, ContestantError) as error:
        console.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from None
    console.print(table_of(measured, f"{bundle.bundle.name}, {streams} streams of {tokens} tokens"))
    after = busy_seconds()
    if busy is not None and after is not None:
        capacity = (time.perf_counter() - start) * (os.cpu_count() or 1)
        foreign = (after - busy - (own_seconds() - own)) / capacity
        if foreign > NOISY:
            console.print(
                f"Others took {foreign:.0%} of the processors: repeat it on a quiet machine.",
                style="bold yellow",
            )
    if json_file is not None:
        record = {
            "machine": {"processor": platform.processor() or platform.machine()},
            "model": bundle.bundle.name,
            "streams": streams,
            "tokens": tokens,
            **vars(measured),
        }
        json_file.write_text(json.dumps(record, indent=1) + "\n")
    raise typer.Exit(measured.share.median < SHARE or measured.added.median > ADDED)


if __name__ == "__main__":
    typer.run(main)
