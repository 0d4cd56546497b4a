"""Where a text's sentences are, character for character.

A sentence ends at its full stop, question or exclamation mark, if what follows can begin another;
at a blank line; and where a line begins a list entry, a row of a table, a heading or a fence. Lines
that are merely wrapped go on. Abbreviations and initials end nothing. Rules, not a model: the same
text is divided in the same way ever after.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

_SHORT = (
    "e.g i.e cf etc al vs dr mr mrs ms prof st no nos fig figs eq eqs sec secs vol pp p ch approx "
    "inc ltd co jan feb mar apr jun jul aug sep sept oct nov dec u.s u.k a.m p.m ca z.b bzw usw"
)
_ABBREVIATIONS = frozenset(_SHORT.split())
_END = re.compile(r"[.!?…]+[\"'”’)\]*_`]*(?=\s)|[。！？]+[”’」』]*")
_NEW_LINE = re.compile(
    r"\n[ \t]*(?=\n)"  # a blank line
    r"|\n(?=[ \t]*(?:[-*+•|>]|\d{1,3}[.)]\s|#{1,6}\s|```|~~~))"  # what begins a block of its own
    r"|(?<=\|)\n|\n(?=[^\n]*\|[^\n]*\|)"  # a row of a table
)
_HEADING = re.compile(r"(?m)^[ \t]*(?:#{1,6}\s.*|```.*|~~~.*)$")
_BEGINS = re.compile(r"[\"'“‘(\[*_`]*[A-Z0-9À-ÖØ-ÞА-ЯΑ-Ω`$<“\"'(\[*_]")


def sentences(text: str) -> list[tuple[int, int]]:
    """Start and end of each sentence, in order, without the spaces around it."""
    found = []
    for start, end in _lines(text):
        for first, last in _within(text, start, end):
            inside = text[first:last]
            stripped = inside.strip()
            if stripped and re.search(r"\w", stripped):
                at = first + len(inside) - len(inside.lstrip())
                found.append((at, at + len(stripped)))
    return found


def _lines(text: str) -> Iterator[tuple[int, int]]:
    """Stretches that no sentence crosses."""
    cuts = {0, len(text)}
    cuts |= {match.end() for match in _NEW_LINE.finditer(text)}
    for match in _HEADING.finditer(text):
        cuts |= {match.start(), match.end()}
    places = sorted(cuts)
    yield from pairwise(places)


def _within(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    begun = start
    for match in _END.finditer(text, start, end):
        if match.end() >= end or _abbreviated(text, begun, match):
            continue
        after = match.end()
        while after < end and text[after].isspace():
            after += 1
        if after < end and (match[0][0] in "。！？" or _BEGINS.match(text, after)):
            yield begun, match.end()
            begun = after
    yield begun, end


def _abbreviated(text: str, begun: int, match: re.Match[str]) -> bool:
    """Whether a full stop ends a short form, not a sentence."""
    if match[0] != ".":
        return False
    before = text[max(begun, match.start() - 12) : match.start()]
    last = re.search(r"[\w.]+$", before)
    if last is None:
        return False
    word = last[0].lower().lstrip(".")
    if word == "no":  # a number follows, or it is an answer
        return bool(re.match(r"\s+\d", text[match.end() :]))
    return word in _ABBREVIATIONS or bool(re.fullmatch(r"[A-Za-z](\.[A-Za-z])*", last[0]))
