"""No document that a model is later examined in (Brown et al. 2020, appendix C).

A document is dropped when a run of 13 of its words also stands in an evaluation set. Words are
compared in lower case and without punctuation. An evaluation text of fewer words counts as one
run, if it has at least 8; shorter ones would throw out half of any language. Notable choice: the
whole document is dropped, where the paper cuts 200 characters around each run, since what is left
may still give the answer away. Memory grows with the evaluation sets, not with the corpus.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.steps.rules import Rules
from studiolo.training.corpus.words import run_hashes, word_hashes, words

SHORTEST = 8


class DecontaminateRules(Rules):
    """Against what, and how much of it may be there."""

    against: tuple[str, ...] = Field(
        (), description="files of evaluation sets, of any kind that a source may be; in JSONL, CSV "
        "and Parquet every text of a row counts"
    )  # fmt: skip
    words: int = Field(13, ge=SHORTEST, le=64, description="of a run")
    overlaps: int = Field(1, ge=1, description="runs in common for which a document is dropped")


@dataclass(frozen=True)
class Examined:
    """``runs``: by number of words, the sorted hashes of all runs in the evaluation sets."""

    runs: Mapping[int, NDArray[np.uint64]]

    @classmethod
    def of(cls, texts: Iterable[str], longest: int) -> Examined:
        """Those of ``texts``, by runs of ``longest`` words."""
        found: dict[int, set[int]] = {}
        for text in texts:
            hashes = word_hashes(words(text))
            n = min(longest, len(hashes))
            if n >= SHORTEST:
                found.setdefault(n, set()).update(run_hashes(hashes, n).tolist())
        return cls({n: np.array(sorted(found[n]), np.uint64) for n in sorted(found)})


def decontaminate(
    document: Document, rules: DecontaminateRules, examined: Examined
) -> Document | Dropped:
    """Drop a document that shares ``rules.overlaps`` runs, or more, with the evaluation sets."""
    if not examined.runs:
        return document
    found = words(document.text)
    hashes = word_hashes(found)
    shared = 0
    first = ""
    for n, known in examined.runs.items():
        runs = run_hashes(hashes, n)
        places = np.searchsorted(known, runs).clip(max=len(known) - 1)
        common = np.flatnonzero(known[places] == runs)
        shared += len(common)
        if len(common) and not first:
            first = " ".join(found[common[0] : common[0] + n])
    if shared >= rules.overlaps:
        return Dropped("is in an evaluation set", f"runs in common: {shared}, the first: {first}")
    return document
