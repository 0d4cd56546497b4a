"""What a text must be, as command-line options that ``generate`` and ``chat`` share.

A slip is reported before any model is loaded. Knows files and options, not how a
constraint is enforced.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from studiolo.cli.reading import read_file
from studiolo.sampler.constraint import Constraint

PANEL = "Constraint (one at most)"

SchemaOption = Annotated[
    str | None,
    typer.Option(
        "--json-schema",
        metavar="FILE|JSON",
        help="Write a JSON value of this schema: a file, or the schema itself.",
        rich_help_panel=PANEL,
    ),
]
RegexOption = Annotated[
    str | None,
    typer.Option(
        metavar="EXPR",
        help="Write a text that this regular expression matches as a whole.",
        rich_help_panel=PANEL,
    ),
]
GrammarOption = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="Write a sentence of the Lark grammar in this file, from its rule `start`.",
        rich_help_panel=PANEL,
    ),
]
ChoiceOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="TEXT",
        help="Write this text, or another that is given so; may be given several times.",
        rich_help_panel=PANEL,
    ),
]


def constraint_arguments(
    json_schema: str | None, regex: str | None, grammar: Path | None, choice: list[str] | None
) -> dict[str, Any]:
    """The options as arguments of ``LanguageModel.generate``; empty where none is given.

    Raises :class:`InvalidRequestError` for two of them, and for what no model could enforce.
    """
    if json_schema is not None and json_schema.strip() not in ("true", "false"):
        inline = json_schema.lstrip().startswith(("{", "["))
        json_schema = json_schema if inline else read_file(Path(json_schema), field="--json-schema")
    arguments = {
        "json_schema": json_schema,
        "regex": regex,
        "grammar": None if grammar is None else read_file(grammar, field="--grammar"),
        "choices": choice or None,
    }
    constraint = Constraint.asked(**arguments)
    if constraint is None:
        return {}
    constraint.prepared()
    return {constraint.kind: arguments[constraint.kind]}
