"""Documents are cut into passages, which are what is compared, found and cited.

A passage is a piece of its document's text, character for character, so that its place can be
shown. *By structure*: whole blocks (paragraphs, fenced code, functions) of one section, as many as
fit; a block that is too long is cut at the end of a sentence, a line or a word, and the next begins
a little before, so that what stands at the seam is whole in one of them. *Fixed*: the same without
regard to headings and blocks. Each passage knows its *parent*, a wider piece of the same section,
which is what a model is given to read. Deliberately unknown here: vectors; whether a text fits a
model is asked of whoever knows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from studiolo.errors import InvalidRequestError
from studiolo.retrieval.document import Document
from studiolo.retrieval.structure import Section, sections

Way = Literal["structure", "fixed"]
_ENDS = (
    re.compile(r"(?<=[.!?…。！？])[\"'”’)\]]*\s+|\n\s*\n"),
    re.compile(r"\n"),
    re.compile(r"\s+"),
)
"""Where a text may be cut, the best first: after a sentence, a line, a word."""


@dataclass(frozen=True)
class Chunking:
    """How to cut. ``size``: characters of a passage at most, 100 to 20,000.

    ``overlap``: characters that two pieces of one block share at most, below half the size.
    ``parent``: characters of a parent at most.
    """

    way: Way = "structure"
    size: int = 800
    overlap: int = 120
    parent: int = 3200

    def __post_init__(self) -> None:
        for field, value, least, most in (
            ("size", self.size, 100, 20_000),
            ("overlap", self.overlap, 0, self.size // 2),
            ("parent", self.parent, self.size, 200_000),
        ):
            if not least <= value <= most:
                raise InvalidRequestError(
                    field, f"must be from {least:,} to {most:,}, not {value:,}"
                )
        if self.way not in ("structure", "fixed"):
            raise InvalidRequestError("way", f"must be structure or fixed, not {self.way!r}")


@dataclass(frozen=True)
class Chunk:
    """Characters ``start`` to ``end`` of a document, within a parent.

    ``path``: the titles of the headings above it.
    """

    start: int
    end: int
    parent_start: int
    parent_end: int
    path: tuple[str, ...]


def chunks(
    document: Document, chunking: Chunking, fits: Callable[[str], bool] = lambda text: True
) -> list[Chunk]:
    """The passages of a document in order; together they hold every character that is no space.

    ``fits``: whether the model reads so long a text whole; passages that it would cut are cut here.
    """
    text = document.extract.text
    found: list[Chunk] = []
    parts = sections(document)
    if chunking.way == "fixed":
        parts = [Section(0, len(text), (), (0,))]
    for section in _with_lone_headings(parts, text):
        spans = [
            each
            for packed in _packed(section, chunking.size)
            for whole in _pieces(text, *packed, chunking.size, chunking.overlap)
            for each in _fitting(text, *whole, fits)
        ]
        kept = [each for each in (_stripped(text, *span) for span in spans) if each[0] < each[1]]
        for span, parent in zip(kept, _parents(kept, chunking.parent), strict=True):
            found.append(Chunk(*span, *parent, section.path))
    return found


def _with_lone_headings(parts: list[Section], text: str) -> Iterator[Section]:
    """A heading with nothing below it but the next heading says nothing alone: it goes with it."""
    held: Section | None = None
    for part in parts:
        if held is not None:
            part = Section(held.start, part.end, part.path, (held.start, *part.blocks[1:]))
        lone = bool(part.path) and "\n" not in text[part.start : part.end].strip()
        held = part if lone and part is not parts[-1] and part.end - part.start < 200 else None
        if held is None:
            yield part


def _packed(section: Section, size: int) -> Iterator[tuple[int, int]]:
    """Runs of blocks that fit together, or one block that fits nowhere.

    What is short, such as a heading, goes with the block after it, even if that must be cut.
    """
    start = section.start
    end = start
    for last in (*section.blocks[1:], section.end):
        if last - start > size and end - start > size // 4:
            yield start, end
            start = end
        end = last
    yield start, end


def _pieces(text: str, start: int, end: int, size: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Spans of at most ``size`` characters and about one length, overlapping where they are cut."""
    while end - start > size:
        count = -(-(end - start) // size)
        even = (end - start) // count
        cut = _cut(text, start + even * 3 // 4, min(start + even * 5 // 4, start + size))
        yield start, cut
        start = _again(text, max(cut - overlap, (start + cut) // 2), cut)
    yield start, end


def _cut(text: str, least: int, most: int) -> int:
    """The best place to cut from ``least`` to ``most``: the last after a sentence, line or word."""
    for ends in _ENDS:
        places = [match.end() for match in ends.finditer(text, least, most)]
        if places:
            return places[-1]
    return most


def _again(text: str, least: int, cut: int) -> int:
    """From where the next piece repeats what stands before ``cut``: whole sentences, or words."""
    for ends in _ENDS:
        places = [match.end() for match in ends.finditer(text, max(0, least - 1), cut)]
        places = [place for place in places if least <= place < cut]
        if places:
            return places[0]
    return cut


def _fitting(
    text: str, start: int, end: int, fits: Callable[[str], bool]
) -> Iterator[tuple[int, int]]:
    if end - start < 2 or fits(text[start:end]):
        yield start, end
        return
    middle = start + (end - start) // 2
    cut = _cut(text, start + (end - start) // 4, middle)
    cut = cut if start < cut < end else middle
    yield from _fitting(text, start, cut, fits)
    yield from _fitting(text, cut, end, fits)


def _stripped(text: str, start: int, end: int) -> tuple[int, int]:
    inside = text[start:end]
    return end - len(inside.lstrip()), start + len(inside.rstrip())


def _parents(spans: list[tuple[int, int]], size: int) -> Iterator[tuple[int, int]]:
    """For each span, the first and last character of the run of neighbours it belongs to."""
    run: list[tuple[int, int]] = []
    for span in spans:
        if run and span[1] - run[0][0] > size:
            yield from [(run[0][0], run[-1][1])] * len(run)
            run = []
        run.append(span)
    if run:
        yield from [(run[0][0], run[-1][1])] * len(run)
