"""``studiolo replay``: a receipt goes in; the same bits come out, or where they differ.

Exit codes: 0 when the bits agree, 1 when they do not, 3 when there is nothing to compare: the
receipt is broken or of another version, its model is not here, or the arithmetic is another.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.output import JsonFlag, for_terminal, print_json
from studiolo.errors import ReplayError, StudioloError

if TYPE_CHECKING:
    from studiolo.task.replay import Replay

DIFFERENT = 1


def replay(
    file: Annotated[Path, typer.Argument(help="What `studiolo generate --receipt` wrote.")],
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            metavar="MODEL",
            help="Where the model is, if it is not installed: a .gguf file or a directory.",
        ),
    ] = None,
    adapter: Annotated[
        str | None,
        typer.Option(
            metavar="ADAPTER",
            help="Where the adapter is, if it is not installed: a directory that peft saved.",
        ),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Make again what a receipt tells of; compare the bits."""
    from studiolo.task.replay import replay as make_again

    try:
        outcome = make_again(file, model=model, adapter=adapter)
    except StudioloError as error:
        if error.exit_code != DIFFERENT:
            raise
        raise ReplayError(error.message, remedy=error.remedy) from error
    if json:
        print_json(outcome.to_dict())
    else:
        _show(outcome)
    if not outcome.agrees:
        raise typer.Exit(DIFFERENT)


def _show(outcome: Replay) -> None:
    facts = outcome.to_dict()
    if outcome.difference is None:
        texts = "one text" if facts["samples"] == 1 else f"{facts['samples']} texts"
        print(
            f"The same to the bit: {facts['tokens']:,} tokens in {texts} of "
            f"{for_terminal(facts['model']['name'])}"
        )
        return
    print(f"Not the same: {for_terminal(str(outcome.difference))}")
    then, now = facts["engine"]["then"], facts["engine"]["now"]
    pairs = {
        "studiolo": (then["studiolo"], now["studiolo"]),
        **{
            name: (then["libraries"].get(name), now["libraries"].get(name))
            for name in {**then["libraries"], **now["libraries"]}
        },
    }
    for name, (old, new) in pairs.items():
        if old != new:
            print(f"{name} was {for_terminal(str(old))} and is {new}")
