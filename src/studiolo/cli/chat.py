"""``studiolo chat``: talk with a model in the terminal.

The loop here reads, streams and interrupts; what was said is a
:class:`studiolo.cli.conversation.Conversation`. Piped input works too, one message a
line. Nothing is kept on disk unless ``/save`` asks for it.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studiolo.cli.constraining import (
    ChoiceOption,
    GrammarOption,
    RegexOption,
    SchemaOption,
    constraint_arguments,
)
from studiolo.cli.conversation import Conversation, read_message
from studiolo.cli.decoding import with_decoding
from studiolo.cli.entering import enter
from studiolo.cli.failure import say_error
from studiolo.cli.loading import STARTER, DeviceOption, ModelOption, load_model
from studiolo.cli.output import for_terminal, note
from studiolo.errors import StudioloError

if TYPE_CHECKING:
    from studiolo.task.text import LanguageModel


@with_decoding()
def chat(
    model: ModelOption = STARTER,
    device: DeviceOption = "auto",
    system: Annotated[
        str | None, typer.Option("--system", "-s", metavar="TEXT", help="Tell the model who it is.")
    ] = None,
    max_tokens: Annotated[
        int, typer.Option(min=1, metavar="N", help="The longest answer, in tokens.")
    ] = 1024,
    seed: Annotated[
        int | None,
        typer.Option(metavar="S", help="The same seed and messages give the same answers."),
    ] = None,
    json_schema: SchemaOption = None,
    regex: RegexOption = None,
    grammar: GrammarOption = None,
    choice: ChoiceOption = None,
    **decoding: Any,
) -> None:
    """Talk with a model."""
    constraint = constraint_arguments(json_schema, regex, grammar, choice)
    lm = load_model(model, device)
    talk = Conversation(lm.name, system)
    if sys.stdin.isatty():
        _line_editing()
        note(f"{lm.name}. /help says what else can be typed; Ctrl-D leaves.")
    while True:
        try:
            said = read_message(_ask)
        except KeyboardInterrupt:
            note("\n(Ctrl-D leaves)")
            continue
        except EOFError:
            if sys.stdin.isatty():
                print()
            return
        if not said.strip():
            continue
        if said.startswith("/") and not said.startswith("//"):
            if said.split()[0] == "/exit":
                return
            lm = _command(talk, lm, said, device)
            continue
        said = said.removeprefix("/") if said.startswith("//") else said
        settings = {"max_tokens": max_tokens, "seed": seed, **constraint, **decoding}
        try:
            talk.add(said, _answer(lm, talk.request(said), settings))
        except StudioloError as error:
            say_error(error.message, error.remedy)


def _ask(prompt: str) -> str:
    # Without a terminal there is nobody to prompt, and the prompt would spoil the output.
    return input(prompt if sys.stdin.isatty() else "")


def _line_editing() -> None:
    """Arrow keys and a history for ``input``, where this Python has readline."""
    try:
        import readline
    except ImportError:  # Windows' console edits lines by itself
        return
    readline.set_auto_history(True)


def _answer(lm: LanguageModel, messages: list[dict[str, object]], settings: dict[str, Any]) -> str:
    """Stream one answer; Ctrl-C ends it where it is."""
    shown = ""
    with lm.stream_chat(messages, **settings) as pieces:
        try:
            for piece in pieces:
                shown += piece
                print(for_terminal(piece), end="", flush=True)
        except KeyboardInterrupt:
            note(" (stopped)")
    print()
    enter(lm, pieces.result)
    return shown


def _command(talk: Conversation, lm: LanguageModel, line: str, device: str) -> LanguageModel:
    """Carry out a slash command; gives the model to go on with."""
    try:
        name, _, rest = line.partition(" ")
        if name == "/model" and rest.strip():
            lm = load_model(rest.strip(), device)
            talk.model = lm.name
        note(talk.command(line))
    except StudioloError as error:
        say_error(error.message, error.remedy)
    except KeyboardInterrupt:
        note("\n(interrupted)")
    return lm
