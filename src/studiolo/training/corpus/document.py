"""What a corpus is made of: a document, and what a step may say of one.

A step is a pure function ``Document -> Document | Dropped``. Plain values, small enough to be sent
to another process. Deliberately unknown here: files, and any step.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Document:
    """A text that belongs together.

    ``source``: the name that the recipe gives to where it came from. ``identity``: which it is
    there: a relative path, with ``#`` and a row or piece where a file holds several. ``licence``:
    an SPDX identifier, or ``unknown``. ``image``: the relative path of the picture that the text
    describes, or nothing.
    """

    text: str
    source: str
    identity: str
    licence: str
    image: str = ""

    def saying(self, text: str) -> Document:
        """The same with another text; itself, if that is no other."""
        return self if text == self.text else replace(self, text=text)


@dataclass(frozen=True)
class Dropped:
    """That a document is left out. ``why``: one of a step's few reasons, under which it is counted.

    ``detail``: the measured value and the limit, for people who look at examples.
    """

    why: str
    detail: str = ""


@dataclass(frozen=True)
class Unreadable:
    """That something of a file is no document: which, and why."""

    identity: str
    why: str


def printable(text: str) -> str:
    """``text`` as UTF-8 can carry it: lone surrogates, which are no characters, become U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


Step: TypeAlias = Callable[[Document], Document | Dropped]
