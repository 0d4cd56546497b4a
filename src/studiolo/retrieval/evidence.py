"""Which sentences of documents support a sentence: by what both say, never by what a model claims.

A claim is compared with every window of one or two neighbouring sentences of the passages. A window
that says it word for word supports it. So does one in which

- every number of the claim stands,
- each clause of the claim finds its nearest clause, and both deny or both affirm,
- enough of the claim's content words stand, weighed by how rare they are among the passages; or
  fewer of them, where the vectors are near.

That is not logic: a sentence that swaps who did what to whom passes. It finds what is not there,
which is what language models add. Places are those of the documents' texts, so that a reference
cannot point to what does not exist. Deliberately unknown here: where claims come from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from studiolo.retrieval.embedder import Embedder, Vectors
from studiolo.retrieval.sentences import sentences
from studiolo.retrieval.words import content, negated, numbers, words

ALONE = 0.8
"""Share of a claim's words that supports it whatever the vectors say."""
TOGETHER = 0.55
NEAR = 0.6
"""Share of the words, and cosine, that support a claim together."""
MAX_REFERENCES = 2
_CLAUSE = re.compile(r"[;:()—–]|,(?!\d)|[.!?](?=\s)|\bbut\b|\bwhile\b|\bunless\b|\bexcept\b")


@dataclass(frozen=True)
class Source:
    """A piece of a document that may be cited: ``text`` is its characters from ``start`` on."""

    source: str
    start: int
    text: str
    heading: str = ""


@dataclass(frozen=True)
class Window:
    """Characters ``start`` to ``end`` of the document ``source``."""

    source: str
    start: int
    end: int
    text: str
    words: frozenset[str] = field(repr=False)
    heading: frozenset[str] = field(repr=False)


@dataclass(frozen=True)
class Support:
    """A window that supports a claim. ``share``: of its words; ``cosine``: of their vectors."""

    window: Window
    share: float
    cosine: float


class Evidence:
    """The sentences of some passages, ready to be compared."""

    def __init__(self, sources: Sequence[Source], embedder: Embedder) -> None:
        self._embedder = embedder
        self.windows = [window for each in _joined(sources) for window in _windows(each)]
        self.vectors: Vectors = embedder.embed([each.text for each in self.windows])
        self._counts: dict[str, int] = {}
        for window in self.windows:
            for word in window.words:
                self._counts[word] = self._counts.get(word, 0) + 1

    def weight(self, word: str) -> float:
        """How much a word tells: more the fewer windows have it; most, if none has."""
        return math.log(1 + (len(self.windows) + 1) / (self._counts.get(word, 0) + 0.5))

    def share(self, wanted: frozenset[str], window: Window) -> float:
        """How much of what ``wanted`` says is said by a window, or by the headings above it."""
        total = sum(self.weight(word) for word in wanted)
        said = sum(self.weight(word) for word in wanted if word in window.words)
        said += 0.5 * sum(
            self.weight(word)
            for word in wanted
            if word in window.heading and word not in window.words
        )
        return said / total if total else 0.0

    def supports(self, claim: str, question: str = "") -> list[Support]:
        """The windows that support ``claim``, best first, of which none lies in another.

        ``question``: what the claim answers; a claim of few words is compared together with it,
        since "42" stands everywhere.
        """
        own = frozenset(content(claim))
        wanted = own | frozenset(content(question)) if len(own) < 4 else own
        if not wanted or not self.windows:
            return []
        vector = self._embedder.embed([claim if len(own) >= 4 else f"{question} {claim}"])[0]
        cosines = self.vectors @ vector
        counted, said = numbers(claim), _said(claim)
        found = []
        for window, cosine in zip(self.windows, cosines.tolist(), strict=True):
            if not counted <= numbers(window.text) or not own & (window.words | window.heading):
                continue
            verbatim = len(own) > 1 and said in _said(window.text)
            share = 1.0 if verbatim else self.share(wanted, window)
            if share < ALONE and not (share >= TOGETHER and cosine >= NEAR):
                continue
            if not verbatim and not _agree(claim, window.text):
                continue
            found.append(Support(window, share, cosine))
        # Of two that say as much, the shorter: it is the sentence itself.
        found.sort(key=lambda each: (-round(each.share, 6), len(each.window.text)))
        return _apart(found)[:MAX_REFERENCES]


def _joined(sources: Sequence[Source]) -> list[Source]:
    """The pieces without those that lie in another, so that nothing is cited twice."""
    kept: list[Source] = []
    for each in sorted(sources, key=lambda each: -len(each.text)):
        if not any(
            other.source == each.source
            and other.start <= each.start
            and each.start + len(each.text) <= other.start + len(other.text)
            for other in kept
        ):
            kept.append(each)
    return [each for each in sources if each in kept]


def _windows(source: Source) -> list[Window]:
    spans = sentences(source.text)
    heading = frozenset(content(source.heading))
    found = []
    for i, (start, end) in enumerate(spans):
        found.append(_window(source, start, end, heading))
        if i + 1 < len(spans):
            found.append(_window(source, start, spans[i + 1][1], heading))
    return found


def _window(source: Source, start: int, end: int, heading: frozenset[str]) -> Window:
    text = source.text[start:end]
    place = source.start + start
    return Window(source.source, place, place + len(text), text, frozenset(content(text)), heading)


def _said(text: str) -> str:
    """A sentence without what two spellings of it may differ in."""
    return f" {' '.join(words(text))} "


def _agree(claim: str, text: str) -> bool:
    """Whether each clause of a claim denies or affirms as the clause nearest to it does."""
    clauses = [(frozenset(content(each)), negated(each)) for each in _CLAUSE.split(text)]
    for each in _CLAUSE.split(claim):
        own = frozenset(content(each))
        # Of two that share as many words, the one that says less beside them.
        nearest = max(clauses, key=lambda clause: (len(own & clause[0]), -len(clause[0] - own)))
        if own & nearest[0] and negated(each) != nearest[1]:
            return False
    return True


def _apart(found: Sequence[Support]) -> list[Support]:
    """The best, and after it what does not overlap with a better one."""
    kept: list[Support] = []
    for each in found:
        if not any(
            each.window.source == other.window.source
            and each.window.start < other.window.end
            and other.window.start < each.window.end
            for other in kept
        ):
            kept.append(each)
    return kept
