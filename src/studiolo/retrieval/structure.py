"""Where a text falls apart by itself: headings, paragraphs, blocks of code, functions, pages.

Found in the text, or told by the reader. A :class:`Section` reaches from one heading to the next
and knows the headings above it; its blocks are what a passage should not cut: a paragraph, a fenced
block, a function. Sections, and the blocks of one, cover the text without a gap, so that no
character of a document is out of reach. Markdown as in CommonMark 0.31, §4.2, §4.3 and §4.5, as far
as lines tell; Python by its own parser.
"""

from __future__ import annotations

import ast
import re
import warnings
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from studiolo.retrieval.document import Document, Heading

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_LINE = re.compile(r"[^\n]*\n|[^\n]+")


@dataclass(frozen=True)
class Section:
    """Characters ``start`` to ``end``. ``path``: titles from the highest heading to its own.

    ``blocks``: where its blocks begin, the first at ``start``.
    """

    start: int
    end: int
    path: tuple[str, ...]
    blocks: tuple[int, ...]


def sections(document: Document) -> list[Section]:
    """The sections of a document, in order; one alone where nothing is marked."""
    text = document.extract.text
    lines = [match.start() for match in _LINE.finditer(text)]
    headings, closed = _marked(document, text, lines)
    headings = sorted({each.start: each for each in headings}.values(), key=lambda each: each.start)
    pages = set(document.extract.pages)
    starts = sorted({0, *(each.start for each in headings), *pages})
    at = {each.start: each for each in headings}
    blocks = _blocks(text, lines, closed)
    found: list[Section] = []
    above: list[Heading] = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        if start in at:
            above = [each for each in above if each.level < at[start].level] + [at[start]]
        elif start in pages and document.kind in ("pptx", "xlsx"):
            above = []
        inside = blocks[bisect_right(blocks, start) : bisect_right(blocks, end - 1)]
        if end > start:
            path = tuple(each.title for each in above)
            found.append(Section(start, end, path, (start, *inside)))
    return found


def _marked(
    document: Document, text: str, lines: Sequence[int]
) -> tuple[Sequence[Heading], Sequence[tuple[int, int]]]:
    """Headings, and spans within which no blank line ends a block."""
    if document.kind == "markdown":
        return _markdown(text, lines)
    if document.kind == "python":
        return _python(text, lines)
    return document.extract.headings, ()


def _markdown(text: str, lines: Sequence[int]) -> tuple[list[Heading], list[tuple[int, int]]]:
    headings, closed = [], []
    fence, opened, before = "", 0, ""
    previous = 0
    for start in lines:
        end = text.find("\n", start)
        line = text[start : end if end >= 0 else len(text)].rstrip("\r").removeprefix("\ufeff")
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip(" \t" + fence[0]):
                closed.append((opened, start))
                fence = ""
            before = ""
            continue
        if mark:
            fence, opened, before = mark[1], start, ""
        elif found := _ATX.match(line):
            if found[2]:
                headings.append(Heading(start, len(found[1]), found[2].strip()))
            before = ""
        elif before.strip() and (under := _SETEXT.match(line)) and _prose(before):
            headings.append(Heading(previous, 1 if under[1][0] == "=" else 2, before.strip()))
            before = ""
        else:
            before = line
        previous = start
    if fence:
        closed.append((opened, len(text)))
    return headings, closed


def _prose(line: str) -> bool:
    """Whether a line that is underlined can be a heading: no list, table, quotation or code."""
    return not re.match(r" {0,3}([-+*>|]|\d+[.)] )|    ", line)


def _python(text: str, lines: Sequence[int]) -> tuple[list[Heading], list[tuple[int, int]]]:
    """Classes and functions as headings; nothing if the file does not parse."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a stranger's code
            tree = ast.parse(text.removeprefix("\ufeff"))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return [], []
    # The parser ends a line at \r and \f too; offsets would then be another's.
    if "\r" in text.replace("\r\n", "") or "\f" in text:
        return [], []
    headings: list[Heading] = []
    closed: list[tuple[int, int]] = []

    def visit(body: Sequence[ast.stmt], level: int) -> None:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                first = min([node.lineno, *(each.lineno for each in node.decorator_list)])
                start = lines[first - 1]
                kind = "class" if isinstance(node, ast.ClassDef) else "def"
                headings.append(Heading(start, level, f"{kind} {node.name}"))
                if isinstance(node, ast.ClassDef) and level == 1:
                    visit(node.body, 2)

    visit(tree.body, 1)
    return headings, closed


def _blocks(text: str, lines: Sequence[int], closed: Sequence[tuple[int, int]]) -> list[int]:
    """Where a line stands after a blank one, outside of what is closed."""
    found, blank = [0], False
    spans = iter([*closed, (len(text), len(text))])
    opened, shut = next(spans)
    for start in lines:
        while start > shut:
            opened, shut = next(spans, (len(text) + 1, len(text) + 1))
        end = text.find("\n", start)
        is_blank = not text[start : end if end >= 0 else len(text)].strip()
        if blank and not is_blank and not opened < start <= shut:
            found.append(start)
        blank = is_blank
    return found
