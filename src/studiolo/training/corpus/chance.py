"""Chance that is no chance: a number in [0, 1) that follows from words alone.

Which documents are held out, and which are taken of a source with a weight below 1, must be the
same in every build and on every machine, and must not depend on what else is in the corpus.
"""

from __future__ import annotations

from hashlib import blake2b


def chance(*words: object) -> float:
    """Evenly spread over [0, 1), by a hash of ``words``."""
    spelt = "\0".join(map(str, words)).encode("utf-8", "replace")
    # 53 bits, all that a float holds: more would round up to 1.
    return (int.from_bytes(blake2b(spelt, digest_size=8).digest(), "little") >> 11) / 2**53
