"""``studiolo guard``: try a policy on a text, and publish one.

What becomes of the text is the result, on standard output; the findings go to standard error, or
with ``--json`` all of it is one object. A blocked text is no error: the policy has done its work.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.group import subcommands
from studiolo.cli.output import JsonFlag, for_terminal, note, print_json
from studiolo.errors import InvalidRequestError

if TYPE_CHECKING:
    from studiolo.guard.enforcing import Guard
    from studiolo.guard.policy import Policy

guard = subcommands("Try and publish policies of what may go in and out.")


@guard.callback()
def _root() -> None:
    """Try and publish policies of what may go in and out."""


@guard.command("try")
def attempt(
    policy: Annotated[
        str, typer.Argument(metavar="POLICY", help="A policy's file, or NAME@VERSION.")
    ],
    given: Annotated[
        str | None, typer.Option("--input", metavar="TEXT", help="A text that goes in.")
    ] = None,
    made: Annotated[
        str | None, typer.Option("--output", metavar="TEXT", help="A text that a model made.")
    ] = None,
    source: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="What the output must be grounded in; may be repeated."),
    ] = None,
    question: Annotated[
        str | None, typer.Option(metavar="TEXT", help="What the output must be relevant to.")
    ] = None,
    key_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The key of pseudonyms.")
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Say what a policy makes of a text; `-` reads it from standard input."""
    from studiolo.cli.reading import read_file, read_stdin
    from studiolo.guard.checking import Context
    from studiolo.guard.published import open_policy

    if (given is None) == (made is None):
        raise InvalidRequestError("text", "give one, with --input or with --output")
    text = given if given is not None else made or ""
    if text == "-":
        text = read_stdin(field="text")
    sources = tuple(read_file(path.expanduser(), field="--source") for path in source or ())
    if given is not None and (sources or question is not None):
        raise InvalidRequestError("--source", "and --question go with --output alone")
    enforced = _guard(open_policy(policy), key_file)
    direction = "output" if given is None else "input"
    outcome = enforced.judge(text, direction, Context(sources, question))  # type: ignore[arg-type]
    if json:
        print_json(outcome.as_json())
        return
    for each in outcome.findings:
        why = f", {each.failed}" if each.failed else ""
        note(f"{each.action}: {each.rule} at {each.start}–{each.end}, {each.score:.2f}{why}")
    print(for_terminal(outcome.text))


@guard.command("publish")
def publish(
    path: Annotated[Path, typer.Argument(metavar="POLICY.yaml", help="The policy's file.")],
    json: JsonFlag = False,
) -> None:
    """Publish a policy: its name and version then mean these rules for ever."""
    from studiolo.guard import published

    done = published.publish(path.expanduser())
    if json:
        print_json({"name": done.name, "version": done.version, "digest": done.digest})
        return
    print(f"{done.name}@{done.version} {done.digest}")


def _guard(policy: Policy, key_file: Path | None) -> Guard:
    """With what the policy needs: the encoder, the model of names, the key."""
    from studiolo.cli.loading import ENCODER, load_encoder
    from studiolo.cli.mask import load_names
    from studiolo.guard.checking import needs_embedder
    from studiolo.guard.enforcing import Guard
    from studiolo.guard.masking import needs_names
    from studiolo.guard.pseudonyms import Pseudonyms

    embed = None
    if needs_embedder(policy):
        encoder = load_encoder(ENCODER, "auto")

        def embed(texts: object) -> object:
            return encoder.embed(texts, truncate=True).numpy()  # type: ignore[arg-type]

    kinds = [kind for each in policy.personal for kind in each.kinds]
    return Guard(
        policy,
        embed=embed,
        names=load_names() if needs_names(kinds) else None,
        pseudonyms=None if key_file is None else Pseudonyms.read(key_file.expanduser()),
    )
