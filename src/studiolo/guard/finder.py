"""Personal data in a text: every rule asked, and what overlaps settled.

The text is read in the parts of ``segments``. Notable choices: of two findings of which one holds
the other, the larger stands, since whoever masks must cover all of it; of two that lap over, the
surer stands and the other keeps what is left. Nothing is given up for being claimed twice.
Deliberately unknown here: what is done with what is found.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

from studiolo.guard.borrowed import borrowed
from studiolo.guard.finding import Finding, Kind
from studiolo.guard.labelled import LABELLED
from studiolo.guard.names import Names
from studiolo.guard.patterns import PATTERNS
from studiolo.guard.places import PLACES, with_towns
from studiolo.guard.rule import BEFORE
from studiolo.guard.segments import cut

_EDGES = " \t\r\n,;"

ALL: frozenset[Kind] = frozenset(Kind)


class Recogniser(Protocol):
    """Finds personal data in a part of a text, which ``before`` came before."""

    def find(self, text: str, before: str = "") -> Iterator[Finding]:
        """What it finds in ``text``."""
        ...


class Finder:
    """Finds the ``kinds`` asked for; with ``names``, people and towns too."""

    def __init__(self, kinds: Iterable[Kind] = ALL, names: Names | None = None) -> None:
        self.kinds = frozenset(kinds)
        self._names = names or Names()
        rules = [*PATTERNS, *LABELLED, *borrowed(self.kinds)]
        self._rules: list[Recogniser] = [each for each in rules if each.kind in self.kinds]
        self._memory: dict[tuple[str, str], list[Finding]] = {}

    def find(self, text: str) -> list[Finding]:
        """What ``text`` holds, in order; no two overlap. ``start`` and ``end`` count characters."""
        found: list[Finding] = []
        for start, part in self.parts(text):
            before = text[max(0, start - BEFORE) : start]
            found += (each.moved(start) for each in self.find_in(part, before))
        return found

    def parts(self, text: str) -> Iterator[tuple[int, str]]:
        """The parts in which ``text`` is read, each with its place; together they are the text."""
        start = 0
        while start < len(text):
            before = text[max(0, start - BEFORE) : start]
            # A part is found in what a cut may look at; copies of the rest would cost its square.
            window = text[start : start + 8192]
            size = self.cut(window, before, last=start + len(window) == len(text))
            yield start, text[start : start + size]
            start += size

    def cut(self, text: str, before: str, *, last: bool) -> int:
        """The length of the first part of ``text``, as :func:`studiolo.guard.segments.cut`."""

        def inside(part: str) -> list[tuple[int, int]]:
            return [(each.start, each.end) for each in self.find_in(part, before)]

        return cut(text, inside, last=last)

    def find_in(self, part: str, before: str = "") -> list[Finding]:
        """What one part holds; ``before``: up to :data:`BEFORE` characters ahead of it."""
        key = (part, before)
        found = self._memory.get(key)
        if found is None:
            found = settled(part, self._all(part, before))
            # A stream asks for the same part again and again. Another thread may put others here.
            self._memory = {key: found}
        return list(found)

    def _all(self, part: str, before: str) -> list[Finding]:
        found = [each for rule in self._rules for each in rule.find(part, before)]
        if Kind.NAME in self.kinds:
            found += self._names.find(part, before)
        if Kind.ADDRESS in self.kinds:
            streets = [each for rule in PLACES for each in rule.find(part, before)]
            found += with_towns(part, streets, self._names.towns(part), before)
        return found


def settled(text: str, found: Iterable[Finding]) -> list[Finding]:
    """The findings in order, without overlap, that cover the same characters of ``text``."""
    kept: list[Finding] = []
    for each in sorted(set(found), key=lambda each: (each.start - each.end, -each.score, each)):
        if not any(one.start <= each.start and each.end <= one.end for one in kept):
            kept.append(each)
    out: list[Finding] = []
    for each in sorted(kept, key=lambda each: (-each.score, each.start - each.end, each)):
        out += outside(text, [each], [(one.start, one.end) for one in out])
    return sorted(out)


def outside(text: str, found: Iterable[Finding], taken: Iterable[tuple[int, int]]) -> list[Finding]:
    """What is left of ``found`` when the spans ``taken`` are cut out, without edges of blanks."""
    taken = sorted(taken)
    out = []
    for each in found:
        place = each.start
        for start, end in [*taken, (each.end, each.end)]:
            a, b = place, min(start, each.end)
            while a < b and text[a] in _EDGES:
                a += 1
            while a < b and text[b - 1] in _EDGES:
                b -= 1
            if a < b:
                out.append(Finding(a, b, each.kind, each.score))
            place = max(place, end)
    return out
