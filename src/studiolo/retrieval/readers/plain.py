"""Text, Markdown, source code, tables and whatever else is text already.

The text *is* the file: no line end is changed and nothing is left out, so that a place in it is a
place in the file. UTF-8, or UTF-16 where a byte-order mark says so. Other encodings are refused and
not guessed: a guess that is wrong makes every later character a lie.
"""

from __future__ import annotations

import codecs

from studiolo.errors import MalformedFileError
from studiolo.retrieval.document import Extract


def read_plain(data: bytes) -> Extract:
    """All characters of a text file, a byte-order mark among them."""
    encoding = "utf-8"
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encoding = "utf-16-le" if data.startswith(codecs.BOM_UTF16_LE) else "utf-16-be"
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        raise MalformedFileError(
            f"is no text in {encoding.upper()}: byte {error.start:,} ({error.reason})",
            remedy="Save it as UTF-8.",
        ) from None
    if "\0" in text:
        raise MalformedFileError("holds zero bytes, which no text does")
    return Extract(text)
