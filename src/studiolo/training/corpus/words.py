r"""Words, and 64-bit hashes of all runs of ``n`` of them: what copies are recognised by.

A word is a run of letters, digits and underscores, in lower case, so that spacing, punctuation and
capitals do not hide a copy. A run's hash is the polynomial :math:`\sum_i h(w_i) P^i` modulo
:math:`2^{64}` (Karp & Rabin 1987) of 64-bit hashes of its words, scrambled at the end (the
finaliser of splitmix64, Steele et al. 2014). The same on every machine and in every process.
"""

from __future__ import annotations

import re
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w+")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)


def words(text: str) -> list[str]:
    """The words of ``text``, in order and in lower case."""
    return _WORD.findall(text.lower())


def word_hashes(found: list[str]) -> NDArray[np.uint64]:
    """One hash for each word: ``[W]``."""
    known = {
        word: int.from_bytes(
            blake2b(word.encode("utf-8", "replace"), digest_size=8).digest(), "little"
        )
        for word in set(found)
    }
    return np.array([known[word] for word in found], np.uint64)


def run_hashes(hashes: NDArray[np.uint64], n: int) -> NDArray[np.uint64]:
    """Of every run of ``n`` words: ``[W - n + 1]``; none if there are fewer than ``n``."""
    count = len(hashes) - n + 1
    if count < 1:
        return np.empty(0, np.uint64)
    total = np.zeros(count, np.uint64)
    with np.errstate(over="ignore"):
        for place in range(n):
            total = total * _FACTOR + hashes[place : place + count]
        total ^= total >> np.uint64(30)
        total *= np.uint64(0xBF58476D1CE4E5B9)
        total ^= total >> np.uint64(27)
        total *= np.uint64(0x94D049BB133111EB)
        total ^= total >> np.uint64(31)
    return total
