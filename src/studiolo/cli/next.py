"""``studiolo next``: the likeliest next tokens as bars, and a walk through the choices.

For whoever has not yet seen what a language model really gives: not a word, but a
probability for each token it knows.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studiolo.cli.decoding import with_decoding
from studiolo.cli.loading import STARTER, DeviceOption, ModelOption, load_model
from studiolo.cli.output import JsonFlag, for_terminal, print_json
from studiolo.cli.reading import read_prompt
from studiolo.task.arguments import whole

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text
    from torch import Tensor

    from studiolo.cli.walk import Fork
    from studiolo.task.text import LanguageModel

WIDTH, NARROW = 40, 20
"""Columns of the longest bar, and of a walk's, which has three columns beside it."""

TOP_P = 0.9
"""Where a walk cuts when the user does not say, so that there is a cut to see."""


LEGEND = """\
● is where each way goes. Both draws throw the same die; before the second,
top-p and top-k drop the grey tokens. The walk goes on with the last column."""


@with_decoding(("temperature", "top_k", "top_p"))
def next(
    prompt: Annotated[
        str | None, typer.Argument(help="The text so far; standard input if absent or `-`.")
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Read the prompt from this file."),
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, metavar="K", help="Show this many tokens.")] = 10,
    steps: Annotated[
        int,
        typer.Option(
            min=0,
            metavar="N",
            help="Walk on this many tokens, showing at each where greedy, sampling and "
            "top-p (0.9 unless said otherwise) would go.",
        ),
    ] = 0,
    seed: Annotated[int, typer.Option(metavar="S", help="Seed of the walk's die.")] = 0,
    model: ModelOption = STARTER,
    device: DeviceOption = "auto",
    json: JsonFlag = False,
    **decoding: Any,
) -> None:
    """Show the likeliest next tokens, and how one is chosen."""
    text = read_prompt(prompt, file)
    seed = whole("seed", seed, 0, 2**63 - 1)
    lm = load_model(model, device)
    if steps:
        _walk(lm, text, k, steps, seed, {"top_p": TOP_P, **decoding}, json)
        return
    found = lm.next_tokens(text, k=k, **decoding)
    if json:
        print_json([{"token": t.token, "id": t.id, "probability": t.probability} for t in found])
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 1))
    longest = max((t.probability for t in found), default=1.0)
    for t in found:
        bar = Text(blocks(t.probability / longest * WIDTH), style="cyan")
        table.add_row(Text(repr(t.token)), f"{t.probability:7.2%}", bar)
    Console(highlight=False).print(table)


def blocks(columns: float) -> str:
    """A bar of that many columns, to an eighth of one."""
    whole, rest = divmod(round(columns * 8), 8)
    return "█" * whole + ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")[rest]


def _walk(
    lm: LanguageModel,
    text: str,
    k: int,
    steps: int,
    seed: int,
    decoding: dict[str, Any],
    json: bool,
) -> None:
    from rich.console import Console
    from rich.text import Text

    from studiolo.cli.walk import walk
    from studiolo.sampler.settings import Decoding

    prompt = lm.tokenizer.encode(text)

    def log_probs(generated: list[int]) -> Tensor:
        return lm.next_log_probs([*prompt, *generated])

    settings = Decoding.checked(**decoding)
    console = Console(highlight=False)
    generated: list[int] = []
    forks = []
    for fork in walk(log_probs, settings, k=k, steps=steps, seed=seed):
        if json:
            forks.append(_as_json(lm, fork))
        else:
            _show(console, lm, text + lm.tokenizer.decode(generated), fork, settings.temperature)
        generated.append(fork.chosen)
        if fork.chosen in lm.tokenizer.eos_ids:
            break
    if json:
        print_json(forks)
    else:
        console.print(_so_far(text, lm.tokenizer.decode(generated)), soft_wrap=True)
        console.print(Text(f"\n{LEGEND}", style="dim"))


def _so_far(prompt: str, generated: str) -> Text:
    from rich.text import Text

    return Text.assemble((for_terminal(prompt), "dim"), (for_terminal(generated), "bold"))


def _show(console: Console, lm: LanguageModel, so_far: str, fork: Fork, heat: float) -> None:
    from rich.table import Table
    from rich.text import Text

    end = "…" + so_far[-60:] if len(so_far) > 60 else so_far
    console.print(Text(for_terminal(end), style="bold"))
    table = Table(box=None, padding=(0, 1), header_style="dim")
    table.add_column("token", no_wrap=True)
    table.add_column("", no_wrap=True, justify="right")
    table.add_column("probability", no_wrap=True, min_width=NARROW)
    for heading in ("greedy", f"sampled at {heat:g}", "after the cut"):
        table.add_column(heading, no_wrap=True, justify="center")
    longest = float(fork.probabilities.max())
    for id in fork.rows:
        probability, kept = float(fork.probabilities[id]), bool(fork.kept[id])
        style = "bold green" if id == fork.chosen else "" if kept else "dim"
        table.add_row(
            Text(repr(_token(lm, id)), style=style),
            Text(f"{probability:.2%}", style=style),
            Text(blocks(probability / longest * NARROW), style="cyan" if kept else "dim"),
            *(Text("●" if id == way else "", style=style) for way in ways(fork)),
        )
    console.print(table)
    console.print()


def _token(lm: LanguageModel, id: int) -> str:
    # A model's table may have more rows than its tokenizer has tokens.
    return lm.tokenizer.token_text(id) if id < lm.tokenizer.vocab_size else f"<{id}>"


def ways(fork: Fork) -> tuple[int, int, int]:
    """Where greedy, the temperature alone, and the cut would go."""
    return fork.greedy, fork.temperature, fork.chosen


def _as_json(lm: LanguageModel, fork: Fork) -> dict[str, Any]:
    def entry(id: int) -> dict[str, Any]:
        return {
            "token": _token(lm, id),
            "id": id,
            "probability": float(fork.probabilities[id]),
        }

    greedy, temperature, chosen = ways(fork)
    return {
        "candidates": [{**entry(id), "kept": bool(fork.kept[id])} for id in fork.candidates],
        "greedy": entry(greedy),
        "temperature": entry(temperature),
        "chosen": entry(chosen),
    }
