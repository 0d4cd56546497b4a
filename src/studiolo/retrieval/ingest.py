"""A folder becomes documents: which files are read, by which reader, and what is wrong with others.

The one place that knows all readers. Hidden files and what is no document (pictures, archives,
programs) are passed over; a file of a known kind that cannot be read is told as :class:`Unread`.
Links are not followed, so that a folder cannot reach out of itself. Deliberately unknown here: the
index.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType

from studiolo.errors import InvalidRequestError, MalformedFileError
from studiolo.retrieval.document import Document, Extract, Unread
from studiolo.retrieval.readers.html import read_html
from studiolo.retrieval.readers.mail import read_mail
from studiolo.retrieval.readers.office import read_docx, read_pptx, read_xlsx
from studiolo.retrieval.readers.pdf import read_pdf
from studiolo.retrieval.readers.plain import read_plain

MAX_BYTES = 100_000_000
"""Of a file, unless another limit is given."""

KINDS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "markdown": (".md", ".markdown", ".mdx"),
        "text": (".txt", ".text", ".rst", ".org", ".tex", ".log", ".csv", ".tsv", ".srt"),
        "data": (".json", ".jsonl", ".yaml", ".yml", ".toml", ".ini", ".cfg", ".xml"),
        "python": (".py", ".pyi"),
        "code": (
            *(".c", ".h", ".cc", ".cpp", ".hpp", ".java", ".js", ".ts", ".jsx", ".tsx", ".go"),
            *(".rs", ".rb", ".php", ".cs", ".swift", ".kt", ".scala", ".sh", ".sql", ".lua"),
            *(".r", ".jl", ".hs", ".pl", ".css", ".tf", ".proto"),
        ),
        "html": (".html", ".htm", ".xhtml"),
        "pdf": (".pdf",),
        "docx": (".docx",),
        "pptx": (".pptx",),
        "xlsx": (".xlsx",),
        "mail": (".eml",),
    }
)
"""Kind of document: how its files' names end."""
EXTRACTED: Mapping[str, Callable[[bytes], Extract]] = MappingProxyType(
    {
        "html": read_html,
        "pdf": read_pdf,
        "docx": read_docx,
        "pptx": read_pptx,
        "xlsx": read_xlsx,
        "mail": read_mail,
    }
)
"""Kinds whose text is not the file; all others are read as they are."""
_PASSED_OVER = frozenset({"__pycache__", "node_modules"})


def kind_of(name: str) -> str | None:
    """The kind that a file's name tells, or None."""
    ending = os.path.splitext(name)[1].lower()
    return next((kind for kind, endings in KINDS.items() if ending in endings), None)


def walk(folder: Path) -> Iterator[str]:
    """The paths, with ``/``, of all files of a known kind, sorted folder by folder.

    Raises :class:`InvalidRequestError` if ``folder`` is none that can be read.
    """
    if not folder.is_dir():
        raise InvalidRequestError("dir", f"there is no folder {str(folder)!r}")
    yield from _walk(folder, "")


def _walk(folder: Path, below: str) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder / below), key=lambda entry: entry.name)
    except OSError as error:
        raise InvalidRequestError(
            "dir", f"{str(folder / below)!r} cannot be read: {error.strerror}"
        ) from None
    for entry in entries:
        if entry.name.startswith(".") or entry.name in _PASSED_OVER:
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder, f"{below}{entry.name}/")
        elif entry.is_file(follow_symlinks=False) and kind_of(entry.name):
            yield below + entry.name


def load(folder: Path, source: str, max_bytes: int = MAX_BYTES) -> bytes | Unread:
    """The bytes of one file, if there are no more than ``max_bytes``; a larger one is not read."""
    if not source.isprintable() or not _sayable(source):
        return Unread(source.encode("utf-8", "replace").decode(), "its name cannot be printed")
    try:
        with (folder / source).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if size > max_bytes:
                return Unread(
                    source, f"has {size:,} bytes, more than {max_bytes:,}; --max-bytes sets that"
                )
            return file.read(max_bytes)
    except OSError as error:
        return Unread(source, f"cannot be read: {error.strerror or error}")


def digest_of(data: bytes) -> str:
    """SHA-256, in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def extract(kind: str, data: bytes) -> Extract:
    """The text of a file of that kind.

    Raises :class:`MalformedFileError` for one that cannot be read, and
    :class:`~studiolo.errors.MissingExtraError` where the reader's library is missing.
    """
    return EXTRACTED.get(kind, read_plain)(data)


def read(
    source: str, data: bytes, by: Callable[[str, bytes], Extract] = extract
) -> Document | Unread:
    """The document that a file holds, of which ``by`` gives the text.

    Raises :class:`~studiolo.errors.MissingExtraError` where the reader's library is missing.
    """
    kind = kind_of(source)
    if kind is None:
        return Unread(source, "is of no kind that is known")
    try:
        found = by(kind, data)
    except MalformedFileError as error:
        return Unread(source, str(error))
    if not found.text.strip():
        return Unread(source, "holds no text")
    return Document(source, digest_of(data), kind, found)


def _sayable(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 arrive as lone surrogates
        return False
    return True
