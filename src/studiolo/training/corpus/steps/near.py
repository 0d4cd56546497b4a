r"""Nearly the same text once: MinHash (Broder 1997) with banding (Leskovec et al. 2020, ch. 3).

A document is the set of its runs of 5 words. Of each of :math:`b \cdot r` random hash functions
the least value over the set is kept: two documents agree in one with a probability that is the
Jaccard similarity :math:`s` of their sets. Documents that agree in all :math:`r` values of any of
:math:`b` bands meet, which happens with probability :math:`1 - (1 - s^r)^b`; of those that meet,
the later one is dropped if the part of all values in which they agree reaches ``similarity``.
14 bands of 8 are FineWeb's (Penedo et al. 2024, §3.4). The hash functions are
:math:`\lfloor (a x + b) / 2^{32} \rfloor \bmod 2^{32}` over 64-bit integers with random
:math:`a, b`, which are strongly universal for 32-bit keys (Thorup 2015, §3.3).

Documents with fewer words than a run are left alone: ``exact`` finds their copies.
"""

from __future__ import annotations

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.seen import Seen
from studiolo.training.corpus.steps.rules import Part, Rules
from studiolo.training.corpus.words import run_hashes, word_hashes, words

SEED = 1
_AT_ONCE = 1 << 12


class NearRules(Rules):
    """How near is too near."""

    similarity: Part = Field(0.75, description="least estimated Jaccard similarity of a copy")
    words: int = Field(5, ge=1, le=64, description="of a run")
    bands: int = Field(14, ge=1, le=256)
    rows: int = Field(8, ge=1, le=64, description="hash values of a band")


def signature(text: str, rules: NearRules) -> NDArray[np.uint32] | None:
    """The least values: uint32 ``[bands · rows]``; None for fewer words than a run."""
    runs = run_hashes(word_hashes(words(text)), rules.words)
    if not len(runs):
        return None
    rng = np.random.Generator(np.random.PCG64(SEED))
    factors, offsets = rng.integers(
        0, 1 << 64, size=(2, rules.bands * rules.rows), dtype=np.uint64, endpoint=False
    )
    keys = np.unique(runs >> np.uint64(32))
    least = np.full(rules.bands * rules.rows, np.iinfo(np.uint32).max, np.uint64)
    with np.errstate(over="ignore"):
        for start in range(0, len(keys), _AT_ONCE):
            part = keys[start : start + _AT_ONCE, None] * factors + offsets
            np.minimum(least, (part >> np.uint64(32)).min(axis=0), out=least)
    return least.astype(np.uint32)


def bands(values: NDArray[np.uint32], rules: NearRules) -> list[int]:
    """One signed 64-bit key for each band, which documents that agree in all of it share."""
    rows = values.reshape(rules.bands, rules.rows).astype("<u4")
    return [
        int.from_bytes(
            blake2b(row.tobytes(), digest_size=8, salt=number.to_bytes(4, "little")).digest(),
            "little",
            signed=True,
        )
        for number, row in enumerate(rows)
    ]


def near(
    document: Document, rules: NearRules, seen: Seen, values: NDArray[np.uint32] | None
) -> Document | Dropped:
    """Drop a text that is nearly one that was there before; remember one that is not.

    ``values``: its :func:`signature`.
    """
    if values is None:
        return document
    keys = bands(values, rules)
    best, name = 0.0, ""
    for other, known in seen.meeting(keys):
        agreed = float((np.frombuffer(known, "<u4") == values).mean())
        if agreed > best:
            best, name = agreed, other
    if name and best >= rules.similarity:
        return Dropped("is nearly a copy", f"of {name}, similarity about {best:.2f}")
    seen.met(keys, f"{document.source}: {document.identity}", values.astype("<u4").tobytes())
    return document
