"""``studiolo train``: a recipe goes in, a model that can be loaded comes out.

Progress goes to standard error; the last line of standard output is the bundle, or with
``--json`` one object. Ctrl-C ends the run after the step that is under way, with a checkpoint.
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
    from studiolo.training.run import Result


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
    json: JsonFlag = False,
) -> None:
    """Train a model by a recipe."""
    from studiolo.training.recipe import read_recipe
    from studiolo.training.run import Run
    from studiolo.training.terminal import watching

    run = Run(read_recipe(recipe, set or ()), out.expanduser())
    with stopping() as stop, watching(run) as view:
        result = run.carry_out(resume=resume, watchers=[view], wrote=view.wrote, stop=stop)
    if result.bundle is None:
        note(f"stopped after step {result.steps:,}; --resume goes on from there")
        raise typer.Exit(INTERRUPTED)
    _show(result, json)


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


class Stop:
    """Whether Ctrl-C has been pressed."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        """As :attr:`asked`."""
        return self.asked

    def ask(self, number: int, frame: FrameType | None) -> None:
        """Note the first Ctrl-C; a second one ends the process at once, as anywhere."""
        self.asked = True
        signal.signal(signal.SIGINT, signal.default_int_handler)


@contextmanager
def stopping() -> Iterator[Stop]:
    """Within, Ctrl-C is a question to be asked after each step."""
    stop = Stop()
    before = signal.signal(signal.SIGINT, stop.ask)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
