"""What all readers share: a file opened or refused by name, and the limits of what one may hold.

A reader is a function ``(path, fields) -> Iterator[Row | Unreadable]``. Rows that are no documents
are told one by one, so that the caller decides whether they end the build; a file of which nothing
more can be read raises :class:`MalformedFileError`. Deliberately unknown here: sources and steps.
"""

from __future__ import annotations

import gzip
import io
import zlib
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeAlias, cast

from studiolo.errors import MalformedFileError, SourceError
from studiolo.training.corpus.document import Unreadable

LONGEST = 1 << 26
"""Bytes of a line, a row or a page that is read as one."""


@dataclass(frozen=True)
class Fields:
    """In which fields of a row things stand; of several for the text, all are joined."""

    text: tuple[str, ...] = ("text",)
    licence: str | None = None
    identity: str | None = None


@dataclass(frozen=True)
class Row:
    """A document as its file has it. ``part``: which of the file's, or nothing if it is the whole.

    ``licence`` and ``image`` are empty where the file says nothing.
    """

    text: str
    part: str = ""
    licence: str = ""
    image: str = ""


Reader: TypeAlias = Callable[[Path, Fields], Iterator[Row | Unreadable]]


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked if its name ends in ``.gz``.

    Raises :class:`SourceError` if it cannot be read and :class:`MalformedFileError` if what is
    packed is damaged.
    """
    try:
        with path.open("rb") as raw:
            if path.suffix == ".gz":
                with gzip.open(raw) as unpacked:
                    yield cast(BinaryIO, unpacked)
            else:
                yield raw
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise MalformedFileError(f"{path}: is damaged: {error}") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read: {error.strerror or error}") from None


@contextmanager
def as_text(path: Path) -> Iterator[io.TextIOWrapper]:
    """The characters of a UTF-8 file; a byte-order mark is left out. Raises as :func:`opened`."""
    with opened(path) as file:
        # Python's own utf-8-sig takes half a mark for nothing.
        if cast(io.BufferedReader, file).peek(len(BOM_UTF8)).startswith(BOM_UTF8):
            file.read(len(BOM_UTF8))
        try:
            with io.TextIOWrapper(file, "utf-8", newline="") as text:
                yield text
        except UnicodeDecodeError as error:
            raise MalformedFileError(
                f"{path}: is no UTF-8 text: {error.reason}",
                remedy="Convert the file, or leave it out by the source's pattern.",
            ) from None


def whole(path: Path) -> bytes:
    """All bytes of a file that is read as one.

    Raises :class:`MalformedFileError` beyond :data:`LONGEST`.
    """
    with opened(path) as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise MalformedFileError(f"{path}: is larger than {LONGEST:,} bytes")
    return data


def row_of(values: Mapping[str, object], fields: Fields, part: str) -> Row | Unreadable:
    """The row whose fields are ``values``; :class:`Unreadable` without a text where one belongs."""
    texts = []
    for name in fields.text:
        value = values.get(name)
        if not isinstance(value, str):
            why = f"holds {type(value).__name__}, no text" if name in values else "is not there"
            return Unreadable(part, f"the field {name!r} {why}; there are: {_listed(list(values))}")
        texts.append(value)
    licence = values.get(fields.licence) if fields.licence else ""
    identity = values.get(fields.identity) if fields.identity else None
    return Row(
        "\n\n".join(texts),
        part if identity is None else str(identity)[:200],
        licence if isinstance(licence, str) else "",
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) or "none"
