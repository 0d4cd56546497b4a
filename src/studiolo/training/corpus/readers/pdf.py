"""The text of a PDF, page after page, as an index reads it too."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from studiolo.errors import MalformedFileError
from studiolo.retrieval.readers.pdf import read_pdf as extracted
from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.reading import Fields, Row, whole


def read_pdf(path: Path, fields: Fields) -> Iterator[Row | Unreadable]:
    """One document, pages separated by blank lines.

    Raises :class:`MalformedFileError` for a file that is damaged, locked by a password or without
    text, and :class:`MissingExtraError` without pypdf.
    """
    try:
        found = extracted(whole(path), "corpus")
    except MalformedFileError as error:
        raise MalformedFileError(f"{path}: {error.message}", remedy=error.remedy) from None
    places = pairwise([*found.pages, len(found.text)])
    pages = (found.text[start:end].strip() for start, end in places)
    yield Row("\n\n".join(page for page in pages if page))
