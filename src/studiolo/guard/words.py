"""Words that must not be said: exact ones, and a list of profanities.

Whole words and phrases, in any case and with any white space between; accents count. The text is
compared in Unicode's compatibility form, so that ``ｆｏｏ`` is ``foo``; letters that are put apart
or replaced by signs (``f o o``, ``f00``) are others' work: what is found is sure. The profanities
are the list of ``better-profanity`` (MIT licence), read as data.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from studiolo.errors import MissingExtraError


class WordList:
    """Finds any of ``words``."""

    def __init__(self, words: Iterable[str]) -> None:
        self._words = frozenset(filter(None, (" ".join(_folded(each)) for each in words)))
        self._longest = max((each.count(" ") + 1 for each in self._words), default=0)

    def spans(self, text: str) -> list[tuple[int, int]]:
        """Where one of the words stands in ``text``; of those that begin together the longest."""
        found: list[tuple[int, int]] = []
        tokens = [(each.start(), each.end()) for each in _TOKEN.finditer(text)]
        plain = [" ".join(_folded(text[a:b])) for a, b in tokens]
        place = 0
        while place < len(tokens):
            step = 1
            for count in range(min(self._longest, len(tokens) - place), 0, -1):
                if " ".join(plain[place : place + count]) in self._words and all(
                    text[tokens[i][1] : tokens[i + 1][0]].strip(" \t\r\n-_,'’") == ""
                    for i in range(place, place + count - 1)
                ):
                    found.append((tokens[place][0], tokens[place + count - 1][1]))
                    step = count
                    break
            place += step
        return found


_TOKEN = re.compile(r"[^\W_]+(?:['’][^\W_]+)*|[^\w\s]+")


def _folded(text: str) -> list[str]:
    plain = unicodedata.normalize("NFKC", text).casefold().replace("’", "'")
    return [each for each in _TOKEN.findall(plain) if any(c.isalnum() for c in each)] or (
        plain.split() if plain.strip() else []
    )


@cache
def profanities() -> tuple[str, ...]:
    """The list, in lower case; raises :class:`MissingExtraError` where it is not installed."""
    spec = find_spec("better_profanity")
    if spec is None or spec.origin is None:
        raise MissingExtraError("the list of profanities", "guard")
    path = Path(spec.origin).with_name("profanity_wordlist.txt")
    lines = path.read_text(encoding="utf-8").splitlines()
    return tuple(line.strip().lower() for line in lines if line.strip())
