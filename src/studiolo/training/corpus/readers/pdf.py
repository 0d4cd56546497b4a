"""The text of a PDF, page after page, as far as the file holds text and not pictures of it."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from pathlib import Path

from studiolo.errors import MalformedFileError, MissingExtraError
from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.reading import Fields, Row, whole


def read_pdf(path: Path, fields: Fields) -> Iterator[Row | Unreadable]:
    """One document, pages separated by blank lines.

    Raises :class:`MalformedFileError` for a file that is damaged, locked by a password or without
    text, and :class:`MissingExtraError` without pypdf.
    """
    try:
        from pypdf import PdfReader
    except ImportError:
        raise MissingExtraError("reading PDF", "corpus") from None
    # What pypdf mends it tells the log of the process, where nobody looks for it.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    data = whole(path)
    try:
        reader = PdfReader(io.BytesIO(data))
        locked = reader.is_encrypted
        pages = [] if locked else [page.extract_text() for page in reader.pages]
    except Exception as error:  # pypdf raises whatever the damage leads to
        raise MalformedFileError(f"{path}: is no PDF that can be read: {error}") from None
    if locked:
        raise MalformedFileError(
            f"{path}: is locked by a password", remedy="Unlock it, or leave it out."
        )
    text = "\n\n".join(page for page in pages if page.strip())
    if not text:
        raise MalformedFileError(
            f"{path}: holds no text", remedy="A scan needs text recognition first; or leave it out."
        )
    yield Row(text)
