"""The text of a PDF page after page, as far as the file holds text and not pictures of it."""

from __future__ import annotations

import io
import logging

from studiolo.errors import MalformedFileError, MissingExtraError
from studiolo.retrieval.document import Extract, Growing

MAX_CHARACTERS = 1 << 26
"""Of one file; more than that is a bomb and no book."""


def read_pdf(data: bytes, extra: str = "retrieval") -> Extract:
    """Every page in order, also one without text, so that page numbers are the file's own.

    Raises :class:`MalformedFileError` for a file that is damaged, locked by a password or without
    text, and :class:`MissingExtraError`, which names ``extra``, without pypdf.
    """
    try:
        from pypdf import PdfReader
    except ImportError:
        raise MissingExtraError("reading PDF", extra) from None
    # What pypdf mends it tells the log of the process, where nobody looks for it.
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    out = Growing()
    try:
        reader = PdfReader(io.BytesIO(data))
        locked = reader.is_encrypted and not reader.decrypt("")
        for page in [] if locked else reader.pages:
            out.page()
            text = page.extract_text().encode("utf-8", "replace").decode("utf-8")
            out.line(text.replace("\0", ""))
            if out.size > MAX_CHARACTERS:
                raise MalformedFileError(f"holds more than {MAX_CHARACTERS:,} characters")
    except MalformedFileError:
        raise
    except Exception as error:  # pypdf raises whatever the damage leads to
        raise MalformedFileError(f"is no PDF that can be read: {error}") from None
    if locked:
        raise MalformedFileError("is locked by a password", remedy="Unlock it, or leave it out.")
    found = out.extract()
    if not found.text.strip():
        raise MalformedFileError(
            f"has {len(found.pages):,} pages and no text: it seems to be a scan",
            remedy="Let a text recognition go over it first, or leave it out.",
        )
    return found
