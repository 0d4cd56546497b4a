"""What a reader makes of a file, and what an index keeps of it.

Every place in a document is a number of characters from the beginning of one text: the file's own
for text formats, the extracted one for all others, which is therefore kept. Plain values.
Deliberately unknown here: how files are read, and how texts are cut.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass


@dataclass(frozen=True)
class Heading:
    """A heading whose line begins at character ``start``. ``level``: 1 is the highest."""

    start: int
    level: int
    title: str


@dataclass(frozen=True)
class Extract:
    """The text of a file. ``pages``: at which character each begins, or nothing without pages.

    ``headings``: those that the format itself marks, in the order of the text; of text formats
    they are found later, in the text.
    """

    text: str
    pages: tuple[int, ...] = ()
    headings: tuple[Heading, ...] = ()

    def page(self, place: int) -> int | None:
        """The number of the page on which a character stands, from 1, or None without pages."""
        return bisect_right(self.pages, place) or 1 if self.pages else None


@dataclass(frozen=True)
class Document:
    """A file that was read. ``source``: its path in the folder, with ``/``.

    ``digest``: SHA-256 of the file's bytes, in hexadecimal.
    """

    source: str
    digest: str
    kind: str
    extract: Extract


@dataclass(frozen=True)
class Unread:
    """That a file is not in the index, and why."""

    source: str
    why: str


class Growing:
    """A text put together piece by piece, with its pages and headings."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._pages: list[int] = []
        self._headings: list[Heading] = []
        self.size = 0

    def page(self) -> None:
        """Begin a page; a blank line stands between two."""
        if self._parts:
            self._write("\n")
        self._pages.append(self.size)

    def line(self, text: str, level: int | None = None) -> None:
        """Add ``text`` and a line end; ``level``: that it is a heading, of this level."""
        if level is not None and text.strip():
            self._headings.append(Heading(self.size, level, " ".join(text.split())))
        self._write(text + "\n")

    def _write(self, text: str) -> None:
        self._parts.append(text)
        self.size += len(text)

    def extract(self) -> Extract:
        """What was put together so far."""
        return Extract("".join(self._parts), tuple(self._pages), tuple(self._headings))
