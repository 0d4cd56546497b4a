"""Answers from documents, each sentence with its evidence.

Passages are searched; if nothing in them is near the question, that is the answer. Else a model
writes one from them, handed in as a function, and each of its sentences is then tied to what
supports it (:mod:`studiolo.retrieval.evidence`); where no model is, or none of its sentences holds,
the sentences that come nearest to the question are quoted, and the answer says so. Deliberately
unknown here: models, and how they are loaded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from studiolo.errors import InvalidRequestError
from studiolo.retrieval.asker import Asker
from studiolo.retrieval.document import Extract
from studiolo.retrieval.embedder import Embedder
from studiolo.retrieval.evidence import Evidence, Source, Window
from studiolo.retrieval.index import Index
from studiolo.retrieval.prompting import NOT_FOUND, messages, refused
from studiolo.retrieval.search import Hit, search
from studiolo.retrieval.sentences import sentences
from studiolo.retrieval.words import content, numbers

Kind = Literal["generated", "extractive", "not_found"]
Policy = Literal["mark", "withhold"]
Writer = Callable[[list[dict[str, str]]], str]
"""A conversation to the next turn of it, as a language model writes it."""

NEAR_ENOUGH = 0.87
"""What the best cosine and the best share of a question's words must make together.

The middle between answerable and unanswerable of the set of questions in ``tests/retrieval``.
"""
QUOTED = 2
"""Windows that an extractive answer quotes at most."""
_ALSO = 0.9
"""A further window is quoted if it has this part of the best one's score."""


_COUNTS = re.compile(
    r"\bhow (?:many|much|long|large|big|often|fast|high|far|old)\b|\bwhen\b|\bwhich (?:year|day)\b"
    r"|\b(?:highest|largest|longest|smallest|lowest|most|least|maximum|minimum|limit)\b",
    re.IGNORECASE,
)
_FIGURE = 0.2
"""What a number is worth where a question asks for one."""


@dataclass(frozen=True)
class Reference:
    """Characters ``start`` to ``end`` of a document, which are ``text``; ``page``: from 1."""

    source: str
    page: int | None
    start: int
    end: int
    text: str

    def to_dict(self) -> dict[str, object]:
        """As ``--json`` prints it."""
        return {
            "source": self.source,
            "page": self.page,
            "start": self.start,
            "end": self.end,
            "text": self.text,
        }


@dataclass(frozen=True)
class Citation:
    """A sentence: characters ``start`` to ``end`` of the answer.

    Without references it is unsupported.
    """

    sentence: str
    start: int
    end: int
    references: tuple[Reference, ...]

    def to_dict(self) -> dict[str, object]:
        """As ``--json`` prints it."""
        return {
            "sentence": self.sentence,
            "start": self.start,
            "end": self.end,
            "references": [each.to_dict() for each in self.references],
        }


@dataclass(frozen=True)
class Answer:
    """``citations``: one for each sentence of ``answer``; none for what was not found.

    ``kind``: ``extractive`` if all is quoted. ``withheld``: sentences that were left out.
    """

    answer: str
    kind: Kind
    citations: tuple[Citation, ...] = ()
    withheld: int = 0

    @property
    def supported(self) -> bool:
        """Whether something is said, and every sentence of it has evidence."""
        return bool(self.citations) and all(each.references for each in self.citations)

    def to_dict(self) -> dict[str, object]:
        """As ``--json`` prints it."""
        return {
            "answer": self.answer,
            "supported": self.supported,
            "kind": self.kind,
            "withheld": self.withheld,
            "citations": [each.to_dict() for each in self.citations],
        }


def ask(
    index: Index,
    question: str,
    embedder: Embedder,
    *,
    asker: Asker,
    write: Writer | None = None,
    k: int = 8,
    filter: object = None,
    unsupported: Policy = "mark",
    wide: bool = False,
) -> Answer:
    """Answer ``question`` from the ``k`` best passages that ``asker`` may see.

    ``write``: the model; without one, the answer quotes. ``unsupported``: whether sentences without
    evidence stay and are marked, or are left out. ``wide``: read the passages' parents. Raises what
    :func:`~studiolo.retrieval.search.search` and ``write`` do.
    """
    if unsupported not in ("mark", "withhold"):
        raise InvalidRequestError("unsupported", f"must be mark or withhold, not {unsupported!r}")
    hits = search(index, question, embedder, asker=asker, k=k, filter=filter)
    desk = _Desk(index, asker, hits, wide)
    evidence = Evidence(desk.sources, embedder)
    scores = _nearness(evidence, question, embedder)
    if max(scores.best_cosine + scores.best_share, 0.0) < NEAR_ENOUGH:
        return Answer(NOT_FOUND, "not_found")
    if write is not None:
        text = write(messages(question, desk.sources)).strip()
        if refused(text):
            return Answer(NOT_FOUND, "not_found")
        answer = _cited(text, question, evidence, desk)
        if any(each.references for each in answer.citations):
            return _kept(answer) if unsupported == "withhold" else answer
    return _quoted(evidence, scores.each, desk)


class _Desk:
    """The passages at hand, and the documents they come from, as far as they are asked for."""

    def __init__(self, index: Index, asker: Asker, hits: Sequence[Hit], wide: bool) -> None:
        self._index, self._asker = index, asker
        self._texts: dict[str, Extract] = {}
        self._paged = {hit.source for hit in hits if hit.page is not None}
        self.sources = [self._wide(hit) if wide else _source(hit) for hit in hits]

    def reference(self, window: Window) -> Reference:
        """The place of a window."""
        page = None
        if window.source in self._paged:
            page = self._text(window.source).page(window.start)
        return Reference(window.source, page, window.start, window.end, window.text)

    def _wide(self, hit: Hit) -> Source:
        start, end = hit.parent
        return Source(hit.source, start, self._text(hit.source).text[start:end], hit.heading)

    def _text(self, source: str) -> Extract:
        if source not in self._texts:
            self._texts[source] = self._index.text(source, self._asker)
        return self._texts[source]


def _source(hit: Hit) -> Source:
    return Source(hit.source, hit.start, hit.text, hit.heading)


@dataclass(frozen=True)
class _Nearness:
    """How near each window is to the question; the two parts of it at their best."""

    each: list[float]
    best_cosine: float
    best_share: float


def _nearness(evidence: Evidence, question: str, embedder: Embedder) -> _Nearness:
    if not evidence.windows:
        return _Nearness([], 0.0, 0.0)
    cosines = (evidence.vectors @ embedder.embed([question])[0]).tolist()
    wanted = frozenset(content(question))
    shares = [evidence.share(wanted, window) for window in evidence.windows]
    counted = _COUNTS.search(question) is not None
    each = [
        cosine + share + (_FIGURE if counted and numbers(window.text) else 0.0)
        if _says_something(window)
        else -1.0
        for window, cosine, share in zip(evidence.windows, cosines, shares, strict=True)
    ]
    return _Nearness(each, max(cosines), max(shares))


def _says_something(window: Window) -> bool:
    """Whether a window is more than a heading, a rule of a table, or a fence."""
    if re.match(r"\s*#{1,6}\s", window.text) and "\n" not in window.text:
        return False
    return len(window.words) >= 2


def _cited(text: str, question: str, evidence: Evidence, desk: _Desk) -> Answer:
    citations = []
    for start, end in sentences(text):
        found = evidence.supports(text[start:end], question)
        references = tuple(desk.reference(each.window) for each in found)
        citations.append(Citation(text[start:end], start, end, references))
    return Answer(text, "generated", tuple(citations))


def _kept(answer: Answer) -> Answer:
    """The answer without the sentences that have no evidence."""
    kept = [each for each in answer.citations if each.references]
    left = len(answer.citations) - len(kept)
    if not left:
        return answer
    return _joined([(each.sentence, each.references) for each in kept], "generated", left)


def _quoted(evidence: Evidence, scores: Sequence[float], desk: _Desk) -> Answer:
    """The windows nearest to the question, word for word but for line ends."""
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    chosen: list[Window] = []
    for i in order:
        window = evidence.windows[i]
        if len(chosen) == QUOTED or scores[i] < _ALSO * scores[order[0]] or scores[i] <= 0:
            break
        if not any(_overlap(window, other) for other in chosen):
            chosen.append(window)
    said: list[tuple[str, tuple[Reference, ...]]] = []
    for window in chosen:
        for start, end in sentences(window.text):
            text = window.text[start:end]
            if re.match(r"\s*#{1,6}\s", text):
                continue
            place = window.start + start
            part = Window(window.source, place, place + len(text), text, window.words, frozenset())
            said.append((" ".join(text.split()), (desk.reference(part),)))
    return _joined(said, "extractive", 0) if said else Answer(NOT_FOUND, "not_found")


def _overlap(one: Window, other: Window) -> bool:
    return one.source == other.source and one.start < other.end and other.start < one.end


def _joined(said: Sequence[tuple[str, tuple[Reference, ...]]], kind: Kind, withheld: int) -> Answer:
    """Sentences as one text, each at its place."""
    citations, place = [], 0
    for sentence, references in said:
        citations.append(Citation(sentence, place, place + len(sentence), references))
        place += len(sentence) + 1
    return Answer(" ".join(sentence for sentence, _ in said), kind, tuple(citations), withheld)
