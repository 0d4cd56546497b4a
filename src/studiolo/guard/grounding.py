r"""Grounding and relevance: is each sentence in the sources, and does the answer meet the question?

A sentence's support is the best over the sources' sentences (and pairs that follow one another) of

.. math:: g(x) = \tfrac12 \frac{|W(x) \cap W(s)|}{|W(x)|} + \tfrac12 \cos(x, s)

with :math:`W` the words that carry meaning, cut to their stems, and it is halved where the sentence
has a number that its sources have not: numbers are what such answers get wrong. The answer's score
is that of its least supported sentence, weighted by nothing: one invention is enough. Relevance is
the cosine of the question and the nearest sentence of the answer, or of the whole of it.
Deliberately unknown here: where sources come from (``retrieval`` gives each sentence its passages).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from studiolo.guard.meaning import Embedder, likeness, sentences, vectors

_STOP_WORDS = (
    "a an the and or but if of in on at to for from by with as is are was were be been being it "
    "its this that these those he she they we you i his her their our your not no do does did has "
    "have had will would can could may might shall should there here then than so such which who "
    "whom what when where how why also into over under about after before between during very "
    "more most"
)
_STOP = frozenset(_STOP_WORDS.split())
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


@dataclass(frozen=True)
class Support:
    """``sentences``: start, end and support of each; ``relevance``: 0 to 1, or None."""

    sentences: tuple[tuple[int, int, float], ...]
    relevance: float | None


def support(answer: str, sources: Sequence[str], question: str | None, embed: Embedder) -> Support:
    """How far ``answer`` is supported by ``sources``, and how near it is to ``question``."""
    spans = sentences(answer)
    said = [answer[a:b] for a, b in spans]
    read = vectors(embed, said)
    passages = [each for source in sources for each in _passages(source)]
    supported: list[tuple[int, int, float]] = []
    if spans and passages:
        near = likeness(read, vectors(embed, passages))
        known = [_words(each) for each in passages]
        numbers = {n for source in sources for n in _numbers(source)}
        for i, (a, b) in enumerate(spans):
            words = _words(said[i])
            shares = [len(words & each) / len(words) if words else 1.0 for each in known]
            best = max(0.5 * s + 0.5 * float(c) for s, c in zip(shares, near[i], strict=True))
            supported.append((a, b, best if _numbers(said[i]) <= numbers else best / 2))
    elif spans:
        supported = [(a, b, 0.0) for a, b in spans]
    relevance = None
    if question is not None and said:
        whole = likeness(vectors(embed, [question]), vectors(embed, [*said, answer[:2000]]))
        relevance = float(whole.max())
    return Support(tuple(supported), relevance)


def _passages(source: str) -> list[str]:
    spans = sentences(source)
    alone = [source[a:b] for a, b in spans]
    pairs = [source[a:d] for (a, _), (_, d) in pairwise(spans)]
    return alone + pairs


def _words(text: str) -> frozenset[str]:
    plain = re.findall(r"[^\W_]+", text.lower())
    return frozenset(_stem(each) for each in plain if each not in _STOP)


def _stem(word: str) -> str:
    for end in ("ing", "ies", "ed", "es", "ly", "s"):
        if word.endswith(end) and len(word) - len(end) >= 3:
            return word[: -len(end)]
    return word


def _numbers(text: str) -> set[str]:
    return {each.replace(",", "") for each in _NUMBER.findall(text)}
