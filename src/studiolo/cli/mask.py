"""``studiolo mask``: standard input to standard output, without personal data.

A filter: what has come is given out, masked, as soon as nothing that follows can change it. Nothing
is masked by half: where the model of names is wanted and cannot be had, it ends before it has read
anything, and says how to go on without.
"""

from __future__ import annotations

import codecs
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from studiolo.cli.output import JsonFlag, print_json
from studiolo.errors import InvalidRequestError, SourceError, StudioloError

if TYPE_CHECKING:
    from studiolo.guard.finding import Kind
    from studiolo.guard.masking import Masker
    from studiolo.guard.names import Names
    from studiolo.guard.pseudonyms import Pseudonyms

_PIECE = 1 << 16


def mask(
    kinds: Annotated[
        str | None,
        typer.Option(metavar="KIND,…", help="Of these kinds alone, such as EMAIL,PHONE."),
    ] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Put pseudonyms instead of kinds, which the key in this file (32 bytes or more) "
            "makes and undoes.",
        ),
    ] = None,
    undo: Annotated[
        bool, typer.Option("--undo", help="Put back what the key of --key-file has hidden.")
    ] = False,
    json: JsonFlag = False,
) -> None:
    """Hide personal data in what comes through a pipe."""
    from studiolo.guard.finding import kinds_of
    from studiolo.guard.pseudonyms import Pseudonyms

    if undo and (key_file is None or kinds is not None):
        raise InvalidRequestError(
            "--undo", "needs --key-file" if key_file is None else "does not go with --kinds"
        )
    chosen = None if kinds is None else kinds_of(kinds.split(","), field="--kinds")
    pseudonyms = None if key_file is None else Pseudonyms.read(key_file.expanduser())
    if undo and pseudonyms is not None:
        _undo(pseudonyms, json)
        return
    masker = load_masker(chosen, pseudonyms)
    if json:
        done = masker.mask("".join(_pieces()))
        print_json({"text": done.text, "findings": [asdict(each) for each in done.findings]})
        return
    from studiolo.guard.stream import MaskingStream

    stream = MaskingStream(masker)
    for piece in _pieces():
        _write(stream.feed(piece))
    _write(stream.finish())


def load_masker(
    kinds: Iterable[Kind] | None = None, pseudonyms: Pseudonyms | None = None
) -> Masker:
    """The masker for ``kinds``, else for all; its model of names is fetched first if it must be."""
    from studiolo.guard.finder import Finder
    from studiolo.guard.finding import Kind
    from studiolo.guard.masking import Masker, needs_names

    wanted = frozenset(Kind if kinds is None else kinds)
    names = load_names() if needs_names(wanted) else None
    return Masker(Finder(wanted, names), pseudonyms)


def load_names() -> Names:
    """The model of names, with a bar on standard error if it must come."""
    from importlib.util import find_spec

    from studiolo.cli.loading import fetch
    from studiolo.errors import MissingExtraError
    from studiolo.guard.names import NAMES_MODEL, Names, folder_of_names

    if find_spec("spacy") is None:  # before anything is fetched for it
        raise MissingExtraError("finding people's names", "guard")
    if folder_of_names() is None:
        try:
            fetch(NAMES_MODEL)
        except SourceError as error:
            raise SourceError(
                f"the model of names cannot be fetched: {error.message}",
                remedy=f"`studiolo pull {NAMES_MODEL}` where there is a network; or, without names "
                "and addresses, choose others with --kinds.",
            ) from None
    folder = folder_of_names()
    if folder is None:  # somebody has removed it since
        raise SourceError(f"{NAMES_MODEL} is not here")
    return Names.load(folder)


def _undo(pseudonyms: Pseudonyms, json: bool) -> None:
    if json:
        print_json({"text": pseudonyms.undo("".join(_pieces()))})
        return
    held = ""
    for piece in _pieces():
        lines, end, rest = (held + piece).rpartition("\n")  # no pseudonym has a line end in it
        _write(pseudonyms.undo(lines + end))
        held = rest
    _write(pseudonyms.undo(held))


def _pieces() -> Iterator[str]:
    """Standard input as it comes; it must be UTF-8."""
    if sys.stdin is None or sys.stdin.isatty():
        raise InvalidRequestError("standard input", "there is none", remedy="Pipe a text into it.")
    decoder = codecs.getincrementaldecoder("utf-8")()
    read, place = sys.stdin.buffer, 0
    while True:
        # What is there, however little: a filter in a chain must not wait for a full block.
        data = read.read1(_PIECE) if hasattr(read, "read1") else read.read(_PIECE)
        waiting = len(decoder.getstate()[0])
        try:
            piece = decoder.decode(data, final=not data)
        except UnicodeDecodeError as error:
            raise _not_utf8(place - waiting + error.start) from None
        place += len(data)
        if piece:
            yield piece
        if not data:
            return


def _not_utf8(place: int) -> StudioloError:
    return InvalidRequestError(
        "standard input", f"is not UTF-8 text (byte {place:,})", remedy="Convert it: iconv -t utf-8"
    )


def _write(text: str) -> None:
    if text:
        sys.stdout.write(text)
        sys.stdout.flush()
