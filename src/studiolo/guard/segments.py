"""Where a text may be cut so that each part can be looked at by itself.

A part ends after a sentence or a blank line, or, where neither comes, near :data:`WINDOW`
characters. Notable choice: whether a place is a cut depends on what stands before it and on the
one character that comes after the white space, never on more. So a stream that is cut as it comes
gives the parts of the whole text, however it arrives; the masking of a stream is that of the whole
because both are made of the same parts. A single line end is no cut: what is wrapped in the middle
of a number must be found. Deliberately unknown here: what is looked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable

WINDOW = 640
"""Characters after which a part ends though no sentence does."""

LONGEST = 240
"""No finding is longer; a part cut short of its window by as much cuts none in two."""

Spans = Callable[[str], list[tuple[int, int]]]

_LIMIT = 4096
_END = re.compile(r"[.!?…]['\"”’»)\]]*[ \t]*(?:\r?\n)?[ \t]*(?=[^\s\w]?[A-Z\d\"“'«(\[]|[^\W\d_])")
_BLANK = re.compile(r"\n[ \t\r]*\n\s*(?=\S)")
_BEFORE = re.compile(r"([\w.]*)[.]['\"”’»)\]]*\s*$")
_SHORT_WORDS = (
    "mr mrs ms mx dr prof sir rev hon st ave rd blvd ln ct hwy apt ste no nr tel ext fax ph exp "
    "acct dob vs etc inc ltd co corp jr sr dept est approx e.g i.e p.o u.s u.k d.l a.m p.m gen col "
    "sgt capt lt str bldg fl rm vol fig jan feb mar apr jun jul aug sep sept oct nov dec id reg "
    "pl sq pkwy mt ft cir ter"
)
_SHORT = frozenset(_SHORT_WORDS.split())


def cut(text: str, inside: Spans, *, last: bool) -> int:
    """How many characters of ``text`` are its first part; 0 if that cannot be told yet.

    ``inside``: the spans of what is found in a text, in order, which a cut by length must not go
    through. ``last``: nothing comes after ``text``. A text that is not empty always gives a
    part once it has ``4096 + 1`` characters.
    """
    if end := _sentence(text[: WINDOW + 1]):
        return end
    if len(text) <= WINDOW:
        return len(text) if last else 0
    if (end := _gap(text[:WINDOW], inside)) or len(text) <= _LIMIT:
        return end or (len(text) if last else 0)
    return _gap(text[:_LIMIT], inside) or _hard(text[:_LIMIT], inside)


def _sentence(text: str) -> int:
    """The end of the first sentence or paragraph that ends within ``text``, else 0."""
    best = 0
    for match in _END.finditer(text):
        before = _BEFORE.search(text[max(0, match.start() - 24) : match.end()])
        word = before.group(1) if before else ""
        spaced = text[match.end() - 1].isspace()
        if spaced and not (word and _abbreviated(word.lower())):
            best = match.end()
            break
    blank = _BLANK.search(text, 0, best or len(text))
    return blank.end() if blank else best


def _abbreviated(word: str) -> bool:
    """Whether a point after ``word`` is no end; ``str`` ends German streets."""
    return len(word) == 1 or word in _SHORT or word.endswith("str")


def _gap(text: str, inside: Spans) -> int:
    """The last place after white space that no finding of ``text`` covers, else 0.

    A line's end goes before a blank. The last :data:`LONGEST` characters are left alone, since
    what begins there may not have ended.
    """
    settled = text[:-LONGEST]
    lines = [each.end() for each in re.finditer(r"\n+", settled)]
    places = [
        *(each for each in reversed(lines) if each > len(settled) // 2),
        *(each.end() for each in reversed([*re.finditer(r"\s+", settled)])),
    ]
    spans = inside(text) if places else []
    outside = (each for each in places if not any(a < each < b for a, b in spans))
    return next(outside, 0)


def _hard(text: str, inside: Spans) -> int:
    """Through a text without white space, but through no finding if that can be helped."""
    end = len(text) - LONGEST
    for start, stop in inside(text):
        if start < end < stop:
            return start or stop
    return end
