"""``studiolo generate``: a prompt goes in, new text comes out.

Text is printed as it is made. Only the new text goes to standard output, without the
prompt, so that it can be piped; ``--json`` waits for the end and prints one object.
"""

from __future__ import annotations

import errno
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studiolo.cli.constraining import (
    ChoiceOption,
    GrammarOption,
    RegexOption,
    SchemaOption,
    constraint_arguments,
)
from studiolo.cli.decoding import with_decoding
from studiolo.cli.entering import enter
from studiolo.cli.loading import (
    STARTER,
    Cache,
    CacheOption,
    DeviceOption,
    ModelOption,
    load_model,
)
from studiolo.cli.output import JsonFlag, for_terminal, print_json
from studiolo.cli.reading import read_prompt
from studiolo.errors import InvalidRequestError

if TYPE_CHECKING:
    from studiolo.sampler.watermark import Watermark


@with_decoding()
def generate(
    prompt: Annotated[
        str | None,
        typer.Argument(help="The text to go on from; standard input if absent or `-`."),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Read the prompt from this file."),
    ] = None,
    model: ModelOption = STARTER,
    device: DeviceOption = "auto",
    kv_cache: CacheOption = Cache.FLOAT32,
    adapter: Annotated[
        str | None,
        typer.Option(
            metavar="ADAPTER",
            help="Change the model by a LoRA adapter: the name of an installed one, or a directory "
            "that peft saved.",
        ),
    ] = None,
    chat: Annotated[
        bool,
        typer.Option("--chat", help="Put the prompt into the model's chat template, as one turn."),
    ] = False,
    max_tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Stop after this many tokens; 256 unless said otherwise, or what still fits.",
        ),
    ] = None,
    n: Annotated[int, typer.Option("--n", min=1, metavar="N", help="Make this many texts.")] = 1,
    seed: Annotated[
        int | None,
        typer.Option(metavar="S", help="The same seed gives the same text."),
    ] = None,
    stop: Annotated[
        list[str] | None,
        typer.Option(metavar="TEXT", help="Stop before this text; may be given several times."),
    ] = None,
    ignore_eos: Annotated[
        bool, typer.Option("--ignore-eos", help="Go on to the limit, past the model's own end.")
    ] = False,
    log_probs: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="K",
            help="Give each token's log-probability and its K likeliest alternatives; "
            "needs --json.",
            rich_help_panel="Output",
        ),
    ] = None,
    watermark: Annotated[
        bool,
        typer.Option(
            "--watermark",
            help="Mark the choice of words, for `studiolo detect`; no word becomes likelier by it.",
            rich_help_panel="Output",
        ),
    ] = False,
    receipt: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write a receipt, from which `studiolo replay` makes the same bits again.",
            rich_help_panel="Output",
        ),
    ] = None,
    json_schema: SchemaOption = None,
    regex: RegexOption = None,
    grammar: GrammarOption = None,
    choice: ChoiceOption = None,
    json: JsonFlag = False,
    **decoding: Any,
) -> None:
    """Go on from a prompt, or answer it with --chat."""
    if log_probs is not None and not json:
        raise InvalidRequestError("--log-probs", "needs --json, where there is room for them")
    if receipt is not None and not receipt.absolute().parent.is_dir():
        raise InvalidRequestError("--receipt", f"there is no folder {str(receipt.parent)!r}")
    constraint = constraint_arguments(json_schema, regex, grammar, choice)
    text = read_prompt(prompt, file)
    asked: dict[str, Any] = {
        "max_tokens": max_tokens,
        "n": n,
        "seed": seed,
        "stop": tuple(stop or ()),
        "ignore_eos": ignore_eos,
        "log_probs": log_probs,
        "adapter": adapter,
        "watermark": _mark() if watermark else None,
        **constraint,
        **decoding,
    }
    lm = load_model(model, device, kv_cache)
    messages = [{"role": "user", "content": text}]
    if json or n > 1:
        result = lm.chat(messages, **asked) if chat else lm.generate(text, **asked)
        if json:
            print_json({"model": lm.name, **result.to_dict()})
        else:
            for number, each in enumerate((result, *result.alternatives), start=1):
                print(f"--- {number} of {n}")
                print(for_terminal(each.text))
    else:
        with lm.stream_chat(messages, **asked) if chat else lm.stream(text, **asked) as pieces:
            for piece in pieces:
                print(for_terminal(piece), end="", flush=True)
        print()
        result = pieces.result
    if receipt is not None:
        _write(receipt, lm.receipt(result).to_bytes())
    enter(lm, result, must=receipt is not None)


def _mark() -> Watermark:
    from studiolo.record.secret import watermark

    return watermark()


def _write(path: Path, data: bytes) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise InvalidRequestError(
            "--receipt", f"{str(path)!r} cannot be written: {error.strerror}"
        ) from None
