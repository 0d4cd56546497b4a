"""``studiolo models``, ``pull`` and ``remove``: what is here, what there is, and moving it.

Results go to standard output; notes and the progress bar go to standard error.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from studiolo.cli.output import JsonFlag, note, print_json, size

if TYPE_CHECKING:
    from studiolo.bundle.catalogue import Entry
    from studiolo.bundle.landing import PullEvent, Report
    from studiolo.bundle.manifest import BundleManifest
    from studiolo.bundle.store import Bundle


def models(
    all_: Annotated[
        bool, typer.Option("--all", help="Also the models that could be pulled.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """List the models that are here, or all there are."""
    from studiolo.bundle.catalogue import Catalogue
    from studiolo.bundle.store import broken, home, installed

    here = {bundle.name: bundle for bundle in installed()}
    entries = Catalogue.load(home()).entries
    names = sorted({*here, *entries} if all_ else here)
    rows = [_row(name, here.get(name), entries.get(name)) for name in names]
    faults = broken()
    if json:
        print_json(rows)
    elif rows:
        _table(rows)
    else:
        note(
            "No model is here yet. `studiolo models --all` lists what there is; "
            "`studiolo pull NAME` fetches one."
        )
    for name, fault in faults.items():
        note(f"{name} is broken: {fault}")


def pull(
    what: Annotated[
        str,
        typer.Argument(
            metavar="MODEL",
            help="A name of the catalogue, hf:owner/name, a path, or an https address of a GGUF.",
        ),
    ],
    accept_licence: Annotated[
        bool,
        typer.Option("--accept-licence", help="Accept the model's terms; kept with the date."),
    ] = False,
    name: Annotated[
        str | None, typer.Option("--name", help="Install it under this name (not the catalogue's).")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")] = False,
    json: JsonFlag = False,
) -> None:
    """Fetch a model."""
    from studiolo.bundle.pull import pull as fetch

    try:
        with reporting(quiet) as report:
            bundle = fetch(what, name=name, accept_licence=accept_licence, report=report)
    except KeyboardInterrupt:
        if not quiet:
            note("\nStopped. What has arrived is kept; the same command goes on from there.")
        raise
    if json:
        print_json({**_row(bundle.name, bundle, None), "path": str(bundle.path)})
    elif not quiet:
        total = sum(pin.size for pin in bundle.manifest.files.values())
        print(f"{bundle.name} ({size(total)}) is in {bundle.path}")


def remove(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model that is here.")],
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Delete a model from this machine."""
    from studiolo.bundle import store

    if not yes and store.is_here(name):
        typer.confirm(f"Delete {name}?", abort=True, err=True)
    store.remove(name)
    note(f"{name} is deleted.")


def _row(name: str, bundle: Bundle | None, entry: Entry | None) -> dict[str, Any]:
    facts: BundleManifest | Entry
    if bundle is not None:
        facts, files = bundle.manifest, dict(bundle.manifest.files)
    elif entry is not None:
        facts, files = entry, entry.pins
    else:
        raise ValueError("neither a bundle nor an entry")
    return {
        "name": name,
        "installed": bundle is not None,
        "family": facts.family,
        "modality": facts.modality,
        "parameters": facts.parameters,
        "size": sum(pin.size for pin in files.values()),
        "licence": facts.licence,
        "context_length": facts.context_length,
        "good_for": entry.good_for if entry is not None else "",
        "digest": bundle.digest if bundle is not None else None,
    }


def _table(rows: list[dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    for title in ("", "name", "size", "licence", "good for"):
        table.add_column(title, no_wrap=title in ("", "name", "size"))
    for row in rows:
        table.add_row(
            Text("✓" if row["installed"] else "", style="green"),
            Text(row["name"]),
            Text(size(row["size"])),
            Text(row["licence"]),
            Text(row["good_for"] or f"{row['family']} · {row['modality']}"),
        )
    Console().print(table)


@contextmanager
def reporting(quiet: bool) -> Iterator[Report | None]:
    """A callback that shows the events: a bar on a terminal, the notes alone elsewhere."""
    from studiolo.bundle.landing import Note

    if quiet:
        yield None
        return
    if not sys.stderr.isatty():

        def notes_alone(event: PullEvent) -> None:
            if isinstance(event, Note):
                note(event.text)

        yield notes_alone
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    console = Console(stderr=True)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=console,
    )
    with bar:
        task = bar.add_task("", start=True, visible=False, total=None)

        def show(event: PullEvent) -> None:
            if isinstance(event, Note):
                bar.console.print(event.text, markup=False, highlight=False)
            else:
                bar.update(
                    task,
                    description=event.name,
                    completed=event.done,
                    total=event.total,
                    visible=True,
                )

        yield show
