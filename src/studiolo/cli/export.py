"""``studiolo export``: a model goes in, a file that other programs run comes out.

Progress and notes go to standard error; the last line of standard output is the file, or with
``--json`` one object.
"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from studiolo.cli.output import JsonFlag, note, print_json, progress_bar, size


class Format(StrEnum):
    """What can be written."""

    GGUF = "gguf"


class Kind(StrEnum):
    """What weights are kept as; those of :mod:`studiolo.bundle.gguf_writer`."""

    F32 = "f32"
    F16 = "f16"
    BF16 = "bf16"
    Q8_0 = "q8_0"


def export(
    name: Annotated[
        str,
        typer.Argument(
            help="A name that `studiolo models` lists, a .gguf file, or a Hugging Face directory."
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="The file to write; one is replaced.")],
    format: Annotated[Format, typer.Option(help="The file's format.")] = Format.GGUF,
    type: Annotated[
        Kind,
        typer.Option(
            help="What matrices are kept as: f32 is exact, f16 and bf16 halve it, q8_0 takes a "
            "quarter."
        ),
    ] = Kind.F16,
    json: JsonFlag = False,
) -> None:
    """Write a model as one file for llama.cpp."""
    from studiolo.bundle.gguf_writer import WeightType, export_gguf
    from studiolo.bundle.manifest import hash_file
    from studiolo.bundle.opening import OpenBundle, blaming
    from studiolo.bundle.pull import ensure
    from studiolo.cli.loading import fetch

    fetch(name)
    opened = OpenBundle.of(ensure(name))
    if opened.gguf is not None:
        note(f"{name} is a GGUF already; its weights are kept anew as {type}, and get no better")
    tensors = len(opened.checkpoint.names)
    with blaming(opened.bundle), progress_bar("tensors", tensors, at_once=0) as report:
        made = export_gguf(opened, out.expanduser().absolute(), WeightType(type), report)
    if json:
        print_json(
            {
                "path": str(made.path),
                "format": format,
                "bytes": made.bytes,
                "sha256": hash_file(made.path).sha256,
                "tensors": dict(made.types),
                "source": {"name": opened.bundle.name, "digest": opened.bundle.digest},
            }
        )
        return
    kinds = ", ".join(f"{count} {kind}" for kind, count in made.types.items())
    note(f"{size(made.bytes)}, {kinds}")
    print(made.path)
