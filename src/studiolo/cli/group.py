"""The lazy group: every command's name and line, and where its function is.

``studiolo --help`` must answer at once, so the lines stand here as well as in the
commands' own docstrings; ``docs/make_cli.py --check`` fails when the two disagree. A
command's module is imported when it is called, or asked for its own help, and defines a
function of the command's name whose signature typer reads, or, where a command has commands of
its own, what :func:`subcommands` gives.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

COMMANDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "generate": ("studiolo.cli.generate", "Go on from a prompt, or answer it with --chat."),
        "replay": ("studiolo.cli.replay", "Make again what a receipt tells of; compare the bits."),
        "verify": ("studiolo.cli.verify", "Find any change in the log of receipts; say where."),
        "detect": (
            "studiolo.cli.detect",
            "Say what can be said of where a file comes from, and how surely.",
        ),
        "chat": ("studiolo.cli.chat", "Talk with a model."),
        "next": ("studiolo.cli.next", "Show the likeliest next tokens, and how one is chosen."),
        "score": ("studiolo.cli.score", "Say how well a model predicts a text."),
        "train": ("studiolo.cli.train", "Train a model by a recipe."),
        "data": (
            "studiolo.cli.data",
            "Build a corpus from files of any kind; look at what it holds.",
        ),
        "embed": ("studiolo.cli.embed", "Make vectors of texts, by which meanings are compared."),
        "index": (
            "studiolo.cli.index",
            "Make a folder's documents searchable, or bring that up to date.",
        ),
        "search": ("studiolo.cli.search", "Find the passages of an index that fit a question."),
        "ask": (
            "studiolo.cli.ask",
            "Answer a question from an index, each sentence with evidence.",
        ),
        "show": (
            "studiolo.cli.show",
            "Show a document's text in an index, or list the documents.",
        ),
        "batch": ("studiolo.cli.batch", "Answer a file of requests; a killed job goes on."),
        "serve": ("studiolo.cli.serve", "Answer the clients of OpenAI and others over HTTP."),
        "keys": ("studiolo.cli.keys", "Make, list and revoke keys; see what they used."),
        "feedback": (
            "studiolo.cli.feedback",
            "Make training data of what people said of answers.",
        ),
        "guard": ("studiolo.cli.guard", "Try and publish policies of what may go in and out."),
        "mask": ("studiolo.cli.mask", "Hide personal data in what comes through a pipe."),
        "models": ("studiolo.cli.models", "List the models that are here, or all there are."),
        "pull": ("studiolo.cli.models", "Fetch a model."),
        "remove": ("studiolo.cli.models", "Delete a model from this machine."),
        "inspect": ("studiolo.cli.inspect", "Describe a model without loading it."),
        "lineage": ("studiolo.cli.lineage", "Show what a model was made from."),
        "merge": ("studiolo.cli.merge", "Merge an adapter into its model, as one of its own."),
        "export": ("studiolo.cli.export", "Write a model as one file for llama.cpp."),
        "doctor": ("studiolo.cli.doctor", "Say what this machine has and what is missing."),
    }
)
"""Command name: (module, line of help). What it stands for there is named like the command."""

CONTEXT = {"help_option_names": ["-h", "--help"]}


def load(name: str) -> Any:
    """Import the command ``name`` and give it as typer's command object."""
    module, _ = COMMANDS[name]
    found = getattr(import_module(module), name)
    if isinstance(found, typer.Typer):
        return get_command(found)
    app = typer.Typer(add_completion=False, rich_markup_mode="rich", context_settings=CONTEXT)
    app.command(name)(found)
    return get_command(app)


def subcommands(line: str) -> typer.Typer:
    """For a command that has commands of its own, and ``line`` as its help."""
    return typer.Typer(
        help=line,
        no_args_is_help=True,
        add_completion=False,
        rich_markup_mode="rich",
        context_settings=CONTEXT,
    )


class LazyGroup(TyperGroup):
    """Holds a stub for every command and puts the real one in its place when it is named.

    typer keeps its click to itself since 0.26, so that contexts have no public type here.
    """

    def __init__(self, **attrs: Any) -> None:
        super().__init__(**attrs)
        for name, (_, line) in COMMANDS.items():
            self.add_command(TyperCommand(name, help=line))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As typer's, after the command named first in ``args`` has been imported."""
        if args and args[0] in COMMANDS:
            self.add_command(load(args[0]), args[0])
        return super().resolve_command(ctx, args)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"studiolo {version('studiolo')}")
        raise typer.Exit


def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """A private studio for generative AI: run models on your own machine and look inside."""


def build() -> Any:
    """The whole command line, with every command still a stub."""
    app = typer.Typer(
        cls=LazyGroup,
        no_args_is_help=True,
        rich_markup_mode=None,  # plain: rich would be half of the time that --help takes
        context_settings=CONTEXT,
    )
    app.callback()(_root)
    return get_command(app)
