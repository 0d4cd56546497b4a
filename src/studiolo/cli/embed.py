"""``studiolo embed``: texts go in, vectors come out; the nearer two vectors, the more alike.

``--json`` prints one list with an object for each text, one on a line. People get the first
numbers of each, and how alike the texts are.
"""

from __future__ import annotations

import json as json_module
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.loading import ENCODER, DeviceOption, ModelOption, load_encoder
from studiolo.cli.output import JsonFlag, for_terminal, note, progress_bar
from studiolo.cli.reading import read_file, read_stdin
from studiolo.errors import InvalidRequestError

if TYPE_CHECKING:
    from torch import Tensor

SHOWN = 10
"""Texts that people are shown; more would not fit a terminal."""
NUMBERS = 4
"""Numbers of each vector that people are shown."""
AT_ONCE = 32
"""Texts that are done before a bar would be of use."""


def embed(
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT...", help="One or more texts; lines of standard input if absent or `-`."
        ),
    ] = None,
    file: Annotated[
        Path | None,
        typer.Option("--file", "-f", metavar="FILE", help="Read texts from this file, one a line."),
    ] = None,
    model: ModelOption = ENCODER,
    device: DeviceOption = "auto",
    truncate: Annotated[
        bool,
        typer.Option(
            "--truncate", help="Keep the beginning of a text that is too long; else it is an error."
        ),
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Make vectors of texts, by which meanings are compared."""
    texts = _texts(text, file)
    encoder = load_encoder(model, device)
    tokens = encoder.encode(texts, truncate=truncate)
    with progress_bar("texts", len(texts), at_once=AT_ONCE) as report:
        vectors = encoder.embed(tokens, report=report)
    counts = [len(ids) for ids in tokens]
    if json:
        _print_json(vectors, counts)
    else:
        _show(texts, vectors, counts)


def _texts(text: Sequence[str] | None, file: Path | None) -> list[str]:
    """The texts, from the one place that the user named."""
    if text and file is not None:
        raise InvalidRequestError("text", "is given twice, as an argument and with --file")
    if file is not None:
        return _lines(read_file(file, field="--file"))
    if not text or list(text) == ["-"]:
        return _lines(read_stdin(field="text"))
    # Bytes that are not UTF-8 arrive in an argument as lone surrogates.
    return [each.encode("utf-8", "surrogateescape").decode("utf-8", "replace") for each in text]


def _lines(text: str) -> list[str]:
    """As an editor counts them: a text may hold U+2028 or a form feed, which end none."""
    lines = [line.removesuffix("\r") for line in text.split("\n")]
    return lines if lines[-1] else lines[:-1]


def _print_json(vectors: Tensor, counts: Sequence[int]) -> None:
    lines = []
    for i, (vector, count) in enumerate(zip(vectors.tolist(), counts, strict=True)):
        # Nine digits are enough to give back every float32.
        entry = {"index": i, "embedding": [float(f"{x:.9g}") for x in vector], "tokens": count}
        lines.append(json_module.dumps(entry, allow_nan=False))
    print("[" + ",\n".join(lines) + "]")


def _show(texts: Sequence[str], vectors: Tensor, counts: Sequence[int]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    numbers = min(NUMBERS, vectors.shape[1])
    table = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
    table.add_column("", justify="right", no_wrap=True)
    table.add_column("text", no_wrap=True, overflow="ellipsis", max_width=40)
    table.add_column("tokens", justify="right", no_wrap=True)
    table.add_column(f"{numbers} of {vectors.shape[1]:,} numbers", no_wrap=True)
    for i, text in enumerate(texts[:SHOWN]):
        first = ", ".join(f"{x:.4f}" for x in vectors[i, :numbers].tolist())
        table.add_row(str(i), Text(for_terminal(text)), f"{counts[i]:,}", f"{first}, …")
    console.print(table)
    if len(texts) > 1:
        unit = vectors[:SHOWN] / vectors[:SHOWN].norm(dim=1, keepdim=True)
        alike = Table(box=None, header_style="bold", padding=(0, 2, 0, 0))
        alike.add_column("cosine", justify="right", style="bold", no_wrap=True)
        for i in range(len(unit)):
            alike.add_column(str(i), justify="right", no_wrap=True)
        for i, row in enumerate((unit @ unit.T).tolist()):
            alike.add_row(str(i), *(f"{x:.2f}" for x in row))
        console.print()
        console.print(alike)
    if len(texts) > SHOWN:
        note(f"The first {SHOWN} of {len(texts):,} texts; --json gives all.")
