"""The text of a page of the web, without what stands around it, as an index reads it too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from studiolo.retrieval.readers.html import read_html as extracted
from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.reading import Fields, Row, whole


def read_html(path: Path, fields: Fields) -> Iterator[Row | Unreadable]:
    """The page's text: one document, or none if nothing is left."""
    text = main_text(whole(path))
    if text:
        yield Row(text)


def main_text(page: bytes) -> str:
    """The main text of ``page``, a line for each block, without blank ones.

    Raises :class:`MissingExtraError` without selectolax.
    """
    lines = extracted(page, "corpus").text.split("\n")
    return "\n".join(line for line in lines if line.strip())
