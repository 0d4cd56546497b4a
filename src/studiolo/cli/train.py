"""``studiolo train``: a recipe goes in, a model that can be loaded comes out.

Progress goes to standard error; the last line of standard output is the bundle, or with
``--json`` one object. Ctrl-C ends the run after the step that is under way, with a checkpoint, and
so does SIGTERM. Of several processes, which ``torchrun`` has started, the first alone speaks.
"""

from __future__ import annotations

import json as json_module
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.failure import INTERRUPTED
from studiolo.cli.output import JsonFlag, note

if TYPE_CHECKING:
    from studiolo.training.run import Result, Run


def train(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's file, or the name of one that ships with Studiolo.")
    ],
    out: Annotated[
        Path, typer.Option(metavar="DIR", help="The folder that becomes the model's bundle.")
    ],
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Give a field of the recipe another value, by its dotted path, such as "
            "data.path=input.txt; may be given several times.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume", help="Go on with the run in that folder, if there is one, where it was."
        ),
    ] = False,
    find_rate: Annotated[
        bool,
        typer.Option(
            "--find-rate",
            help="Do not train: raise the rates over a hundred steps, and say which are good ones.",
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Train a model by a recipe."""
    from studiolo.errors import InvalidRequestError
    from studiolo.training.processes import joined
    from studiolo.training.recipe import read_recipe
    from studiolo.training.run import Run
    from studiolo.training.terminal import watching

    if find_rate and resume:
        raise InvalidRequestError(
            "resume", "is for a run, and --find-rate begins none", remedy="Leave one of them out."
        )
    with joined() as processes, stopping(several=processes.count > 1) as stop:
        run = Run(read_recipe(recipe, set or ()), out.expanduser(), processes)
        if find_rate:
            _find_rate(run, stop, json)
            return
        if processes.first:
            with watching(run) as view:
                result = run.carry_out(resume=resume, watchers=[view], wrote=view.wrote, stop=stop)
        else:
            result = run.carry_out(resume=resume, stop=stop)
    if not processes.first:
        return
    if result.bundle is None:
        note(f"stopped after step {result.steps:,}; --resume goes on from there")
        raise typer.Exit(INTERRUPTED)
    _show(result, json)


def _find_rate(run: Run, stop: Stop, json: bool) -> None:
    from studiolo.training.chart import chart
    from studiolo.training.rates import find_rates, rising, step_of, write_page

    rates = find_rates(run, stop)
    if not run.processes.first:
        return
    if rates is None:
        raise typer.Exit(INTERRUPTED)
    page = write_page(run.folder, run.recipe.name, rates)
    settings, losses = rates.settings(), rates.losses
    if json:
        curve = [{"factor": rising(i), "loss": loss} for i, loss in enumerate(losses)]
        told = {
            **settings,
            "factor": rates.suggested,
            "lowest": rates.lowest,
            "burst": rates.tried if rates.burst else None,
            "curve": curve,
            "page": str(page),
        }
        print(json_module.dumps(told))
        return
    for line in chart(rates.smooth, mark=step_of(rates.suggested)):
        note(line)
    note(
        f"rates from {rising(0):g} to {rates.tried:.3g} times the recipe's: the loss is lowest at "
        f"{rates.lowest:.3g}, and a good rate is {rates.suggested:.3g}"
    )
    note(f"the curve is in {page}")
    print(" ".join(f"--set {name}={value:g}" for name, value in settings.items()))


def _show(result: Result, json: bool) -> None:
    if json:
        print(
            json_module.dumps(
                {
                    "steps": result.steps,
                    "train_loss": result.train_loss,
                    "validation_loss": result.validation_loss,
                    "tokens_per_second": result.tokens_per_second,
                    "seconds": result.seconds,
                    "bundle": str(result.bundle),
                }
            )
        )
        return
    note(
        f"{result.steps:,} steps in {result.seconds:,.0f} s "
        f"({result.tokens_per_second:,.0f} tokens/s); loss {result.train_loss:.4f}, "
        f"validation {result.validation_loss:.4f} nats a token"
    )
    print(result.bundle)


SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stop:
    """Whether Ctrl-C has been pressed, or SIGTERM has come."""

    def __init__(self, *, several: bool) -> None:
        """``several``: processes, whose launcher passes on what all of them have got already."""
        self.asked, self._several = False, several

    def __call__(self) -> bool:
        """As :attr:`asked`."""
        return self.asked

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Note the first; a second Ctrl-C ends a process that is alone at once, as anywhere."""
        self.asked = True
        if not self._several:
            signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def stopping(*, several: bool = False) -> Iterator[Stop]:
    """Within, Ctrl-C and SIGTERM are a question to be asked after each step."""
    stop = Stop(several=several)
    before = {each: signal.signal(each, stop.ask) for each in SIGNALS}
    try:
        yield stop
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)
