"""``studiolo data``: a corpus is built from sources by a recipe, and looked at.

Progress goes to standard error; the last line of standard output is the corpus's folder, or with
``--json`` one object. Ctrl-C stops a build after the document under way and leaves nothing of it.
"""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.batch import Place
from studiolo.cli.group import subcommands
from studiolo.cli.output import JsonFlag, for_terminal, note, print_json, size
from studiolo.cli.train import stopping

if TYPE_CHECKING:
    from studiolo.training.corpus.manifest import CorpusManifest
    from studiolo.training.corpus.recipe import CorpusRecipe

WIDE = 10_000
"""Columns of what is no terminal: there nothing is folded."""

data = subcommands("Build a corpus from files of any kind; look at what it holds.")


@data.command("build")
def build(
    recipe: Annotated[
        str,
        typer.Argument(help="A corpus recipe's file, or the name of one that ships with Studiolo."),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder that becomes the corpus.")],
    set: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE",
            help="Give a field of the recipe another value, by its dotted path, such as "
            "sources.books.path=texts or steps.near=false; may be given several times.",
        ),
    ] = None,
    on: Annotated[
        Place,
        typer.Option(
            "--on", help="`ray`: take the steps on the machines of a Ray cluster, file by file."
        ),
    ] = Place.HERE,
    json: JsonFlag = False,
) -> None:
    """Read sources, choose documents, write token shards and a manifest."""
    from studiolo.training.corpus.recipe import read_corpus_recipe

    made = _built(read_corpus_recipe(recipe, set or ()), out.expanduser(), on)
    if json:
        print(json_module.dumps(_facts(made, out)))
        return
    note(
        f"{made.training.documents:,} documents, {made.training.tokens:,} tokens for training and "
        f"{made.validation.tokens:,} for validation; licence {made.licence}; "
        f"`studiolo data show {out}` says what became of each source"
    )
    if not made.validation.tokens:
        note("Nothing is held out, which training needs: raise the sources' validation.")
    print(out)


@data.command("show")
def show(
    corpus: Annotated[Path, typer.Argument(metavar="DIR", help="The folder of a corpus.")],
    html: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write it as one page, with samples and examples."),
    ] = None,
    json: JsonFlag = False,
) -> None:
    """Show what a corpus holds, what was dropped and why."""
    from studiolo.training.corpus.manifest import read_manifest

    manifest = read_manifest(corpus.expanduser())
    if html is not None:
        from studiolo.training.corpus.page import write_page

        write_page(html.expanduser(), manifest)
        note(f"the page is in {html}")
    if json:
        print_json(manifest.model_dump(mode="json"))
    elif html is None:
        _tables(manifest)


def _built(recipe: CorpusRecipe, out: Path, on: Place) -> CorpusManifest:
    from studiolo.cli import mask
    from studiolo.training.corpus.build import Build

    masker = mask.load_masker() if recipe.mask else None
    with stopping() as stop, _progress() as show:

        def progress(what: str, done: int, total: int) -> None:
            """Told after each document: the place where Ctrl-C is answered, and nowhere between."""
            if stop():
                raise KeyboardInterrupt
            show(what, done, total)

        if on is Place.HERE:
            return Build(recipe, out, masker=masker, progress=progress).carry_out()
        from studiolo.task.joining import join
        from studiolo.training.corpus.spread import spread

        build = Build(recipe, out, masker=masker, progress=progress, hands=spread)
        _, leave = join()
        try:
            return build.carry_out()
        finally:
            leave()


def _facts(manifest: CorpusManifest, out: Path) -> dict[str, object]:
    return {
        "corpus": str(out),
        "digest": manifest.digest,
        "licence": manifest.licence,
        "training_documents": manifest.training.documents,
        "training_tokens": manifest.training.tokens,
        "validation_documents": manifest.validation.documents,
        "validation_tokens": manifest.validation.tokens,
        "bytes_per_token": manifest.bytes_per_token,
        "vocabulary": manifest.vocabulary,
        "read": sum(source.read.documents for source in manifest.sources),
        "kept": sum(source.kept.documents for source in manifest.sources),
        "unreadable": sum(source.unreadable.count for source in manifest.sources),
    }


def _tables(manifest: CorpusManifest) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    def table(*titles: str) -> Table:
        made = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
        for title in titles:
            words = title in ("source", "licence", "step", "why", "example")
            made.add_column(title, justify="left" if words else "right", no_wrap=not words)
        return made

    def row(*cells: str) -> list[Text]:
        return [Text(for_terminal(cell)) for cell in cells]

    console = Console(width=None if sys.stdout.isatty() else WIDE)
    console.print(
        Text(
            f"{manifest.name}: {manifest.training.tokens:,} tokens for training, "
            f"{manifest.validation.tokens:,} for validation, of {manifest.vocabulary:,} kinds; "
            f"licence {manifest.licence}\ndigest {manifest.digest}\n"
        )
    )
    sources = table(
        *("source", "read", "kept", "text kept", "weight", "training tokens", "validation tokens"),
        *("bytes/token", "licence"),
    )
    for each in manifest.sources:
        ratio = each.bytes_per_token
        sources.add_row(
            *row(
                each.name,
                f"{each.read.documents:,}",
                f"{each.kept.documents:,}",
                size(each.kept.bytes),
                f"{each.weight:g}",
                f"{each.training.tokens:,}",
                f"{each.validation.tokens:,}",
                "–" if ratio is None else f"{ratio:.2f}",
                ", ".join(each.licences),
            )
        )
    console.print(sources)
    steps = table("source", "step", "why", "dropped", "example")
    for each in manifest.sources:
        if each.unreadable.count:
            first = each.unreadable.examples[0]
            count = f"{each.unreadable.count:,}"
            steps.add_row(*row(each.name, "reading", first.detail, count, first.identity))
        for name, step in each.steps.items():
            for why, reason in step.reasons.items():
                first = reason.examples[0]
                example = f"{first.identity} ({first.detail})" if first.detail else first.identity
                steps.add_row(*row(each.name, name, why, f"{reason.count:,}", example))
    if steps.row_count:
        console.print()
        console.print(steps)


@contextmanager
def _progress() -> Iterator[Callable[[str, int, int], None]]:
    """A callback that shows a bar on standard error, if that is a terminal."""
    if not sys.stderr.isatty():
        yield lambda what, done, total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as Remaining

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), Remaining())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        yield lambda what, done, total: bar.update(
            task, description=what, completed=done, total=total or None
        )
