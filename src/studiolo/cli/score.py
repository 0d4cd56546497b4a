"""``studiolo score``: how well a model predicts a text, in numbers and token by token in colour."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.loading import STARTER, DeviceOption, ModelOption, load_model
from studiolo.cli.output import JsonFlag, print_json, progress_bar
from studiolo.cli.reading import read_file, read_stdin

if TYPE_CHECKING:
    from rich.text import Text

    from studiolo.task.text import Score

# Probability given to a token, from expected to astonishing: the darker, the likelier.
SHADES = ((0.5, "green"), (0.1, "cyan"), (0.01, "yellow"), (0.001, "magenta"), (0.0, "bold red"))


def score(
    file: Annotated[
        Path | None, typer.Argument(help="The text; standard input if absent or `-`.")
    ] = None,
    model: ModelOption = STARTER,
    device: DeviceOption = "auto",
    tokens: Annotated[
        bool, typer.Option("--tokens", help="Also print the text, each token coloured by surprise.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Say how well a model predicts a text."""
    from studiolo.family.autoregressive import CHUNK

    piped = file is None or str(file) == "-"
    text = read_stdin(field="file") if piped or file is None else read_file(file, field="file")
    lm = load_model(model, device)
    ids = lm.tokenizer.encode(text)
    with progress_bar("tokens", len(ids) - 1, at_once=CHUNK) as report:
        result = lm.score(ids, report)
    if json:
        print_json(
            {
                "model": lm.name,
                "token_count": result.token_count,
                "nats_per_token": result.nats_per_token,
                "perplexity": result.perplexity,
                "bits_per_byte": result.bits_per_byte,
            }
        )
    else:
        _show(lm.name, result, tokens)


def shade(log_prob: float) -> str:
    """The colour of a token that the model gave this natural-log probability."""
    probability = math.exp(log_prob)
    return next(style for least, style in SHADES if probability >= least)


def _show(name: str, result: Score, tokens: bool) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    if tokens:
        console.print(_coloured(result), soft_wrap=True)
        console.print()
        legend = Text("probability  ")
        for least, style in SHADES:
            legend.append(f" {'≥' if least else '<'} {least or SHADES[-2][0]:g} ", style=style)
        console.print(legend)
        console.print()
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    table.add_row("model", name)
    table.add_row("tokens", f"{result.token_count:,}")
    table.add_row("nats per token", f"{result.nats_per_token:.4f}")
    table.add_row("perplexity", f"{result.perplexity:,.3f}")
    table.add_row("bits per byte", f"{result.bits_per_byte:.4f}")
    console.print(table)


def _coloured(result: Score) -> Text:
    from rich.text import Text

    from studiolo.cli.output import for_terminal

    text = Text()
    for token, _, log_prob in result.tokens:
        text.append(for_terminal(token), style="dim" if log_prob is None else shade(log_prob))
    return text
