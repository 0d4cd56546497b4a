"""``studiolo index``: a folder's documents can be searched and asked, and kept up to date.

The same command again reads what is new or changed, and forgets what is gone. What cannot be read
is told on standard error, and the rest goes on.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.loading import ENCODER, DeviceOption
from studiolo.cli.output import JsonFlag, for_terminal, note, print_json
from studiolo.errors import InvalidRequestError, MalformedFileError

if TYPE_CHECKING:
    from studiolo.retrieval.indexing import Outcome

SHOWN = 20
"""Files that could not be read which people are shown."""


class Way(StrEnum):
    """How documents are cut; those of :mod:`studiolo.retrieval.chunking`."""

    STRUCTURE = "structure"
    FIXED = "fixed"


def index(
    folder: Annotated[
        Path | None,
        typer.Argument(metavar="DIR", help="The folder; without one, all indexes are listed."),
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What the index is called.")
    ] = None,
    rules: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE.yaml", help="Who may see which documents, and metadata to filter by."
        ),
    ] = None,
    model: Annotated[
        str,
        typer.Option("--model", "-m", metavar="MODEL", help="The encoder that makes the vectors."),
    ] = ENCODER,
    device: DeviceOption = "auto",
    way: Annotated[
        Way,
        typer.Option(help="Cut by headings, paragraphs and functions, or in pieces of one size."),
    ] = Way.STRUCTURE,
    size: Annotated[int, typer.Option(metavar="N", help="Characters of a passage at most.")] = 800,
    overlap: Annotated[
        int, typer.Option(metavar="N", help="Characters that pieces of one block share at most.")
    ] = 120,
    max_bytes: Annotated[
        int, typer.Option(min=1, metavar="N", help="Leave out files that are larger.")
    ] = 100_000_000,
    remove: Annotated[
        bool, typer.Option("--remove", help="Delete the index; the documents stay.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Make a folder's documents searchable, or bring that up to date."""
    if folder is None and name is None and not remove:
        _list(json)
        return
    if name is None:
        raise InvalidRequestError("--name", "is missing", remedy="Say what the index is called.")
    if remove:
        from studiolo.retrieval.index import remove_index

        remove_index(name)
        note(f"The index {name} is removed.")
        return
    if folder is None:
        raise InvalidRequestError("dir", "is missing", remedy="Name the folder to be indexed.")
    from studiolo.cli.loading import load_encoder
    from studiolo.retrieval.chunking import Chunking
    from studiolo.retrieval.embedder import ModelEmbedder
    from studiolo.retrieval.facts import read_rules
    from studiolo.retrieval.index import Index
    from studiolo.retrieval.indexing import update
    from studiolo.retrieval.settings import Settings

    if not folder.is_dir():
        raise InvalidRequestError("dir", f"there is no folder {str(folder)!r}")
    chunking = Chunking(way.value, size, overlap, max(3200, size))
    said = None if rules is None else read_rules(rules)
    embedder = ModelEmbedder(load_encoder(model, device))
    made = Index.create(name, Settings.of(embedder, chunking))
    with _bar() as report:
        outcome = update(made, folder, embedder, rules=said, max_bytes=max_bytes, report=report)
    _tell(name, outcome, json)


def _tell(name: str, outcome: Outcome, json: bool) -> None:
    counts = {
        "added": outcome.added,
        "changed": outcome.changed,
        "unchanged": outcome.unchanged,
        "removed": outcome.removed,
        "passages": outcome.passages,
    }
    for each in outcome.unread[:SHOWN]:
        note(for_terminal(f"not indexed: {each.source}: {each.why}", error=True))
    if len(outcome.unread) > SHOWN:
        note(f"and {len(outcome.unread) - SHOWN:,} more; --json lists all")
    if json:
        unread = [{"source": each.source, "why": each.why} for each in outcome.unread]
        print_json({"name": name, **counts, "unread": unread})
        return
    print(
        f"{name}: {outcome.added:,} added, {outcome.changed:,} changed, "
        f"{outcome.unchanged:,} unchanged, {outcome.removed:,} removed"
        + (f", {len(outcome.unread):,} not indexed" if outcome.unread else "")
    )


def _list(json: bool) -> None:
    from studiolo.retrieval.asker import OWNER
    from studiolo.retrieval.index import Index, index_names

    found = []
    for name in index_names():
        try:
            each = Index.open(name)
            documents = len(each.documents(OWNER))
        except MalformedFileError as error:  # the others are well
            note(for_terminal(str(error), error=True))
            continue
        passages = each.passages.count_rows()
        encoder = each.settings.encoder
        found.append(
            {"name": name, "documents": documents, "passages": passages, "encoder": encoder}
        )
    if json:
        print_json(found)
        return
    for entry in found:
        print(f"{entry['name']}: {entry['documents']:,} documents, {entry['passages']:,} passages")
    if not found:
        note("There is no index yet; `studiolo index DIR --name NAME` makes one.")


@contextmanager
def _bar() -> Iterator[Callable[[int, int], None]]:
    """A callback for files done of all: a bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("files"), BarColumn(), MofNCompleteColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)
