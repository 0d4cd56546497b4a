"""``studiolo batch``: a file of requests goes in, a file of results comes out.

Nothing is printed but to standard error. Killed or interrupted, the same command goes on where
the job stood.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studiolo.cli.loading import ENCODER, STARTER, DeviceOption, ModelOption, fetch
from studiolo.cli.machine import memory_bytes
from studiolo.cli.output import note
from studiolo.errors import InvalidRequestError

if TYPE_CHECKING:
    from studiolo.task.batch import Batch, Tally

UNKNOWN_MEMORY = 4_000_000_000
"""Bytes taken for granted where nothing says how many there are."""


class Place(StrEnum):
    """Where a job's requests are answered."""

    HERE = "here"
    RAY = "ray"


def batch(
    input: Annotated[
        Path,
        typer.Argument(help="Requests, one JSON object a line, as in OpenAI's Batch API."),
    ],
    output: Annotated[
        Path, typer.Argument(help="Results, one a line; those that are there are kept.")
    ],
    model: ModelOption = STARTER,
    encoder: Annotated[
        str,
        typer.Option(metavar="MODEL", help="As --model, for requests of /v1/embeddings."),
    ] = ENCODER,
    device: DeviceOption = "auto",
    on: Annotated[
        Place,
        typer.Option("--on", help="`ray`: on the machines of a Ray cluster."),
    ] = Place.HERE,
    workers: Annotated[
        int | None,
        typer.Option(min=1, metavar="N", help="With --on ray: so many; else one a machine."),
    ] = None,
) -> None:
    """Answer a file of requests; a killed job goes on."""
    from studiolo.task.batch import Batch

    if workers is not None and on is Place.HERE:
        raise InvalidRequestError("--workers", "needs --on ray")
    with Batch(input, output, model=model, encoder=encoder) as job:
        tally = job.tally
        if tally.done:
            note(f"{tally.done:,} of {tally.lines:,} lines are answered already.")
        try:
            if tally.done < tally.lines:
                _work(job, model, encoder, device, on, workers)
        except KeyboardInterrupt:
            note(
                f"\nStopped after {tally.done:,} of {tally.lines:,} lines; "
                "the same command goes on from there."
            )
            raise
        note(_summary(tally, output))


def _work(
    job: Batch, model: str, encoder: str, device: str, on: Place, workers: int | None
) -> None:
    from studiolo.task.answering import Answerer
    from studiolo.task.batch import WINDOW
    from studiolo.task.cluster import Cluster

    if on is Place.HERE:
        for name in sorted(job.wanted):
            fetch(name)
    memory = memory_bytes() or UNKNOWN_MEMORY
    models: dict[str, Any] = {"model": model, "encoder": encoder, "device": device}
    share: dict[str, Any] = {"model_memory": memory * 6 // 10, "request_memory": memory * 2 // 10}
    with _bar(job.tally) as report:
        if on is Place.RAY:
            with Cluster(workers, window=WINDOW, models=models, memory=share) as cluster:
                asyncio.run(job.run(cluster.answer, window=cluster.window, report=report))
        else:
            with Answerer(**models, **share) as answerer:
                asyncio.run(job.run(answerer.answer, report=report))


def _summary(tally: Tally, output: Path) -> str:
    text = f"{tally.done:,} lines are answered in {output}"
    if tally.failed:
        text += f", {tally.failed:,} of them with an error"
    if tally.tokens and tally.seconds:
        text += f"; {tally.tokens:,} tokens, {tally.tokens / tally.seconds:,.0f} a second"
    return text + "."


@contextmanager
def _bar(tally: Tally) -> Iterator[Callable[[Tally], None]]:
    """A bar on standard error, if that is a terminal: lines, tokens a second, time left."""
    if not sys.stderr.isatty():
        yield lambda tally: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (
        *(TextColumn("lines"), BarColumn(), MofNCompleteColumn()),
        *(TextColumn("{task.fields[speed]}"), Remaining()),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        # What was done before is not this run's speed.
        task = bar.add_task("", total=tally.lines, completed=tally.done, speed="")

        def report(tally: Tally) -> None:
            speed = f"{tally.tokens / tally.seconds:,.0f} tokens/s" if tally.seconds else ""
            bar.update(task, completed=tally.done, speed=speed)

        yield report
