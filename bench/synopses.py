"""Package descriptions of Debian and their one-line synopses: real pairs, of ``apt``'s index.

A stanza of a ``Translation-en`` file has the synopsis in its ``Description-en`` line and the
description below it. Packages whose descriptions are equal are one pair; who is held out is decided
by the description's digest, so that it does not depend on the file's order. ROUGE-L is that of Lin
(2004), F1 over lower-case words.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from studiolo.errors import InvalidRequestError

ASK = "Write the one-line synopsis of the software package that is described here.\n\n"
FIELD = "Description-en: "
LONGEST = 1_200
"""Characters of a description; longer ones are left out, and those under a tenth of it."""


@dataclass(frozen=True)
class Pair:
    """A description and the synopsis that its maintainer gave it."""

    description: str
    synopsis: str

    @property
    def place(self) -> str:
        """What decides the pair's part and order."""
        return hashlib.sha256(self.description.encode()).hexdigest()

    def question(self) -> dict[str, str]:
        """As a message."""
        return {"role": "user", "content": ASK + self.description}

    def chat(self) -> list[dict[str, str]]:
        """With its answer."""
        return [self.question(), {"role": "assistant", "content": self.synopsis}]


def read_pairs(path: Path) -> list[Pair]:
    """All pairs of a ``Translation-en`` file, in an order that says nothing of them.

    Raises :class:`InvalidRequestError` if it is not there or none.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(
            "data",
            f"{str(path)!r} cannot be read: {error}",
            remedy="Name a Translation-en of Debian: `apt-get update -o Acquire::Languages=en` "
            "fetches it to /var/lib/apt/lists, and `/usr/lib/apt/apt-helper cat-file` unpacks it.",
        ) from None
    found = {pair.place: pair for pair in _stanzas(text)}
    if not found:
        raise InvalidRequestError("data", f"{str(path)!r} has no line {FIELD!r}")
    return [found[place] for place in sorted(found)]


def _stanzas(text: str) -> Iterator[Pair]:
    for stanza in text.split("\n\n"):
        _, given, rest = stanza.partition(FIELD)
        synopsis, _, body = rest.partition("\n")
        lines = ["" if line.strip() == "." else line.strip() for line in body.splitlines()]
        description = "\n".join(lines).strip()
        if given and synopsis and LONGEST // 10 <= len(description) <= LONGEST:
            yield Pair(description, synopsis.strip())


def write_chats(path: Path, pairs: Sequence[Pair]) -> Path:
    """As JSONL that is trained on."""
    lines = (json.dumps({"messages": pair.chat()}, ensure_ascii=False) for pair in pairs)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def rouge_l(made: str, wanted: str) -> float:
    """F1 of the longest common subsequence of words, 0 to 1."""
    ours, theirs = (re.findall(r"[a-z0-9]+", text.lower()) for text in (made, wanted))
    if not ours or not theirs:
        return 0.0
    row = [0] * (len(theirs) + 1)
    for word in ours:
        before = 0
        for i, other in enumerate(theirs, 1):
            before, row[i] = row[i], before + 1 if word == other else max(row[i], row[i - 1])
    common = row[-1]
    return 2 * common / (len(ours) + len(theirs))
