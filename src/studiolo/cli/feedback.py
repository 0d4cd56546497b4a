"""``studiolo feedback``: what people said of answers becomes a data set.

Works on the records themselves, whether a server is running or not. Personal data are masked where
the extra ``guard`` is installed; what became of the ratings, and whether they were masked, goes to
standard error; the last line of standard output is the file, or
with ``--json`` one object.
"""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.group import subcommands
from studiolo.cli.keys import RecordsOption
from studiolo.cli.moments import moment
from studiolo.cli.output import JsonFlag, note, print_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from studiolo.training.feedback import Counts

feedback = subcommands("Make training data of what people said of answers.")

REASONS = {
    "without_consent": "without consent",
    "without_content": "whose prompt and answer were not kept",
    "unfit": "of what no line can be made, such as calls of tools",
    "unpaired": "without a better or worse answer beside them",
    "not_good": "of answers that were not found good",
}
"""Why ratings are left out, in words."""


class Kind(StrEnum):
    """What can be made; those of :mod:`studiolo.training.feedback`."""

    PREFERENCES = "preferences"
    ANSWERS = "answers"


@feedback.callback()  # without one, typer takes an only command for the whole
def _root() -> None:
    """Make training data of what people said of answers."""


@feedback.command("export")
def export(
    kind: Annotated[
        Kind,
        typer.Option(
            "--as",
            help="preferences: pairs of a better and a worse answer; answers: corrections, and "
            "answers that were found good.",
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE.jsonl", help="The file to write; one is replaced.")
    ],
    model: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="Of this model's answers alone, by the name asked for."),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="ID", help="Of requests with this key alone.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From a day (2026-11-22, UTC) or so long ago (7d) on."),
    ] = None,
    mask: Annotated[
        bool,
        typer.Option(
            "--mask/--no-mask",
            help="Mask personal data, as `studiolo mask` does; done if the extra guard is there.",
        ),
    ] = True,
    records: RecordsOption = None,
    json: JsonFlag = False,
) -> None:
    """Write what may be learnt from as JSONL that `studiolo train` reads."""
    from studiolo.record.database import Database
    from studiolo.record.feedback import Feedback
    from studiolo.training.feedback import export_feedback

    start = 0.0 if since is None else moment(since, "--since", time.time())
    path = out.expanduser().absolute()
    with closing(Database.open(records)) as database:
        rated = Feedback(database).rated(key=key, model=model, since=start)
        masker = _masker() if mask else None
        counts = export_feedback(rated, kind.value, path, masker)
    if masker is None:
        note("Personal data are not masked: read the file before it is trained on or handed on.")
    else:
        note("Personal data were masked, as far as they were found: no masker finds all.")
    if json:
        told = {"path": str(path), "as": kind, **asdict(counts), "masked": masker is not None}
        print_json(told)
        return
    _tell(counts)
    print(path)


def _masker() -> Callable[[str], str] | None:
    """None where the extra is not installed; a model that cannot be had is an error."""
    from studiolo.cli import mask
    from studiolo.errors import MissingExtraError

    try:
        return mask.load_masker()
    except MissingExtraError:
        return None


def _tell(counts: Counts) -> None:
    note(f"{counts.lines:,} lines of {counts.used:,} of {counts.ratings:,} ratings")
    for name, why in REASONS.items():
        if count := getattr(counts, name):
            note(f"left out: {count:,} {why}")
