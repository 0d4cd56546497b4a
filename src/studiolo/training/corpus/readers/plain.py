"""Text, Markdown and source code as they are, in pieces if a file is long.

A file is read piece by piece, so that one of many gigabytes needs no more memory than another. A
source may say by which text its documents are separated within a file. Whatever is longer than
``longest`` characters is cut after the last blank line before, or the last line end, or hard.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import count
from pathlib import Path

from studiolo.training.corpus.document import Unreadable
from studiolo.training.corpus.readers.reading import Row, as_text

_STEP = 1 << 16


def read_plain(path: Path, longest: int, separator: str | None) -> Iterator[Row | Unreadable]:
    """The documents of a file: those between separators, or the whole, in pieces.

    Raises :class:`SourceError` and :class:`MalformedFileError` as
    :func:`~studiolo.training.corpus.readers.reading.as_text`.
    """
    with as_text(path) as file:
        blocks = iter(lambda: file.read(_STEP), "")
        found = pieces(blocks, longest, separator)
        first = next(found, None)
        if first is None:
            return
        second = next(found, None)
        if second is None:
            yield Row(first)
            return
        numbers = count(1)
        yield Row(first, str(next(numbers)))
        yield Row(second, str(next(numbers)))
        for text in found:
            yield Row(text, str(next(numbers)))


def pieces(blocks: Iterable[str], longest: int, separator: str | None = None) -> Iterator[str]:
    """The text that ``blocks`` are together, cut at every separator, which is left out, and again.

    No piece has more than ``longest`` characters; without separators all together are the text.
    """
    held = ""
    for block in blocks:
        held += block
        if separator:
            *whole, held = held.split(separator)
            for each in whole:
                yield from _cut(each, longest)
        # A separator may be half here: never cut where its beginning could stand.
        spare = len(separator) if separator else 0
        while len(held) > longest + spare:
            at = _place(held, longest)
            yield held[:at]
            held = held[at:]
    yield from _cut(held, longest)


def _cut(text: str, longest: int) -> Iterator[str]:
    while len(text) > longest:
        at = _place(text, longest)
        yield text[:at]
        text = text[at:]
    if text:
        yield text


def _place(text: str, longest: int) -> int:
    for end in ("\n\n", "\n", " "):
        at = text.rfind(end, longest // 2, longest)
        if at >= 0:
            return at + len(end)
    return longest
