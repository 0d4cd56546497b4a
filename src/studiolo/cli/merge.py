"""``studiolo merge``: a model and an adapter go in, one model comes out.

Progress and notes go to standard error; the last line of standard output is the folder, or with
``--json`` one object.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from studiolo.cli.output import JsonFlag, for_terminal, note, print_json, progress_bar


def merge(
    name: Annotated[
        str,
        typer.Argument(
            help="The base: a name that `studiolo models` lists, a .gguf file, or a Hugging Face "
            "directory."
        ),
    ],
    adapter: Annotated[
        str,
        typer.Option(
            metavar="ADAPTER",
            help="The adapter: the directory of one, or the name of one that is installed.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="DIR", help="The folder to write, not there yet.")],
    any_base: Annotated[
        bool,
        typer.Option(
            "--any-base",
            help="Merge also where the adapter says that it was made for other weights, such as "
            "the same model in another file.",
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Merge an adapter into its model, as one of its own."""
    from studiolo.bundle.adapter import find_adapter
    from studiolo.bundle.merging import merge_adapter
    from studiolo.bundle.opening import OpenBundle, blaming
    from studiolo.bundle.pull import ensure
    from studiolo.cli.loading import fetch

    folder = find_adapter(adapter)
    fetch(name)
    base = OpenBundle.of(ensure(name))
    with blaming(base.bundle):
        tensors = len(base.checkpoint.names)
    with progress_bar("tensors", tensors, at_once=0) as report:
        made = merge_adapter(
            base, folder, out.expanduser().absolute(), any_base=any_base, report=report
        )
    manifest = made.manifest
    if json:
        print_json(
            {
                "path": str(made.path),
                "digest": manifest.digest,
                "licence": manifest.licence,
                "matrices": made.matrices,
                "parents": list(manifest.lineage.parents),
            }
        )
        return
    licence = for_terminal(manifest.licence, error=True)
    note(f"{made.matrices:,} matrices changed; licence: {licence}")
    print(made.path)
