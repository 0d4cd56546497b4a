"""``studiolo show``: the text of a document in an index, in which all places are counted.

Without a document, the index's documents are listed. ``--start`` and ``--end`` give one place, as
citations name it.
"""

from __future__ import annotations

from typing import Annotated

import typer

from studiolo.cli.output import JsonFlag, for_terminal, note, print_json
from studiolo.cli.search import AsOption, IndexOption, asker_of


def show(
    index: IndexOption,
    document: Annotated[
        str | None,
        typer.Argument(metavar="SOURCE", help="The document's path; without one, all are listed."),
    ] = None,
    start: Annotated[
        int, typer.Option(min=0, metavar="N", help="From this character on, counted from 0.")
    ] = 0,
    end: Annotated[
        int | None, typer.Option(min=0, metavar="N", help="Up to this character, without it.")
    ] = None,
    as_names: AsOption = None,
    json: JsonFlag = False,
) -> None:
    """Show a document's text in an index, or list the documents."""
    from studiolo.retrieval.index import Index

    found, asker = Index.open(index), asker_of(as_names)
    if document is None:
        held = sorted(found.documents(asker).values(), key=lambda each: each.source)
        if json:
            print_json([{"source": e.source, "kind": e.kind, "digest": e.digest} for e in held])
        else:
            for each in held:
                print(for_terminal(each.source))
            if not held:
                note("There is no document in it.")
        return
    text = found.text(document, asker)
    shown = text.text[start:end]
    if json:
        last = len(text.text) if end is None else min(end, len(text.text))
        print_json(
            {
                "source": document,
                "page": text.page(start),
                "start": min(start, len(text.text)),
                "end": last,
                "text": shown,
            }
        )
        return
    print(for_terminal(shown), end="" if shown.endswith("\n") else "\n")
