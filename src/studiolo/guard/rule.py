"""A rule: what one kind of personal data looks like, and which words beside it make it sure.

A rule has an expression, a score for what it matches alone, a check that may refuse it, and words
which, standing near, raise the score. Its value is the group ``v`` where there is one, else the
whole match. Notable choices: near means in the same part of the text or in the
:data:`BEFORE` characters before it, so that a stream knows as much as a whole text; and every
expression is bounded, so that a part of 4,096 characters takes no longer than it should.
Deliberately unknown here: the rules themselves (``patterns``, ``labelled``, ``places``).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from studiolo.guard.finding import Finding, Kind

BEFORE = 96
"""Characters before a part, and on both sides of a match, in which words count as near."""

AFTER = 40

SURE = 0.5
"""Findings with less are not reported; rules that need a word beside them start lower."""


@dataclass(frozen=True)
class Rule:
    """``score`` is for a match alone, ``near`` for one beside a word of ``words``; 0 to 1."""

    kind: Kind
    expression: re.Pattern[str]
    score: float
    words: re.Pattern[str] | None = None
    near: float = 0.95
    check: Callable[[str], bool] | None = None

    def find(self, text: str, before: str = "") -> Iterator[Finding]:
        """What it finds in ``text``, which ``before`` came before; nothing below :data:`SURE`."""
        for match in self.expression.finditer(text):
            value = "v" if "v" in self.expression.groupindex else 0
            start, end = match.span(value)
            if start < 0 or (self.check is not None and not self.check(match[value])):
                continue
            score = self.score
            if self.words is not None:
                score = max(score, self.near * nearness(self.words, text, before, start, end))
            if score >= SURE:
                yield Finding(start, end, self.kind, score)


def nearness(words: re.Pattern[str], text: str, before: str, start: int, end: int) -> float:
    """How near the nearest of ``words`` is to the span: 1 beside it, 3/4 at the edge, else 0.

    So, of two kinds that a number may be, the one whose word stands nearer is the surer.
    """
    ahead = (before + text[:start])[-BEFORE:]
    gaps = [len(ahead) - each.end() for each in words.finditer(ahead)]
    if behind := words.search(text[end : end + AFTER]):
        gaps.append(8 + behind.start())  # a word behind may belong to what comes next
    return 1 - min(gaps) / (4 * BEFORE) if gaps else 0.0


def words(*alternatives: str) -> re.Pattern[str]:
    """An expression for any of these as whole words, in any case."""
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(alternatives)})(?![^\W_])", re.IGNORECASE)


def rule(
    kind: Kind,
    expression: str,
    score: float,
    near: re.Pattern[str] | None = None,
    check: Callable[[str], bool] | None = None,
    *,
    flags: re.RegexFlag = re.NOFLAG,
    sure: float = 0.95,
) -> Rule:
    """A :class:`Rule` in one line."""
    return Rule(kind, re.compile(expression, flags), score, near, sure, check)
