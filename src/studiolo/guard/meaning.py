"""Sentences compared by meaning: what topics, categories of content and grounding have in common.

An embedder is handed in: texts to vectors of length 1, as ``studiolo.load_encoder().embed`` makes
them. Long texts are compared sentence by sentence, since an encoder reads a few hundred tokens and
one vector of a page says little of any line in it. Deliberately unknown here: which encoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studiolo.guard.segments import cut

Embedder = Callable[[Sequence[str]], Any]
"""N texts to an array ``[N, width]`` of unit vectors, or what numpy can make one of."""

Vectors = NDArray[np.float32]


def sentences(text: str) -> list[tuple[int, int]]:
    """The spans of the sentences of ``text`` that have a letter or a digit, without blanks."""
    found, place = [], 0
    while place < len(text):
        window = text[place : place + 8192]
        size = cut(window, lambda _: [], last=place + len(window) == len(text))
        part = text[place : place + size]
        if any(each.isalnum() for each in part):
            lead = len(part) - len(part.lstrip())
            found.append((place + lead, place + len(part.rstrip())))
        place += size
    return found


def vectors(embed: Embedder, texts: Sequence[str]) -> Vectors:
    """``[N, width]`` float32; raises ValueError for what an embedder must not give."""
    if not texts:
        return np.zeros((0, 1), dtype=np.float32)
    found = np.asarray(embed(list(texts)), dtype=np.float32)
    if found.ndim != 2 or len(found) != len(texts) or not np.isfinite(found).all():
        raise ValueError(f"an embedder gave shape {found.shape} for {len(texts)} texts")
    return found


def likeness(one: Vectors, other: Vectors) -> Vectors:
    """Cosines ``[N, M]`` of unit vectors, clipped to 0…1."""
    return np.asarray((one @ other.T).clip(0, 1), dtype=np.float32)
