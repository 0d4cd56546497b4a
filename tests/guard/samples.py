"""Sentences with what is personal in them, and sentences with nothing that is."""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from studiolo.guard.finder import Recogniser
from studiolo.guard.finding import Kind

HARMLESS = [
    "Paris is the capital of France and has 2,102,650 inhabitants.",
    "Version 3.10.2 was released on 2023-10-12 and needs 512 MB.",
    "The order of 1,250 units was shipped 14 days later for $12,499.00.",
    "Ticket 48213 was closed because the error could not be repeated.",
    "The password is required and must not be empty.",
    "def area(r): return 3.14159 * r ** 2",
    "Part number 4711-0815-22 replaces 4711-0815-21.",
    "commit da39a3ee5e6b4b0d3255bfef95601890afd80709",
    "import os.path; numpy.linalg.norm(x); README.md, main.py",
    "@property def name(self): return self._name",
    "FOOTBALL and BASEBALL are played in BARBADOS.",
    "The river is 1,233 km long, 5,000 years old and 12 feet deep in places.",
    "See section 4.2.1.3, table 12-34-5678 or page 415.",
    "The PIN is required; please enter your PIN and the CVV code.",
    "Log in with your username and a password of 8 to 64 characters.",
    "At 10:30:45 the counter stood at 1234567890123.",
]


def found(recogniser: Recogniser, text: str) -> list[tuple[Kind, str]]:
    """Kinds and values that one recogniser finds."""
    return [(each.kind, text[each.start : each.end]) for each in recogniser.find(text)]


def embedded(texts: Sequence[str]) -> NDArray[np.float32]:
    """An embedder for tests: which words a text has, by a hash that is the same everywhere."""
    out = np.zeros((len(texts), 512), dtype=np.float32)
    for i, text in enumerate(texts):
        for word in re.findall(r"\w+", text.lower()):
            out[i, zlib.crc32(word.encode()) % 512] += 1
        out[i] /= np.linalg.norm(out[i]) or 1
    return out
