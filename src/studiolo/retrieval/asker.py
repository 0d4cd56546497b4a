"""Who asks: the owner, who may see all of an index, or somebody with names that lists let in.

A name is whatever the access lists say: a key's id, a person, a group. There is no default, so that
no caller forgets to say who asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from studiolo.retrieval.filters import literal


@dataclass(frozen=True)
class Asker:
    """``names``: by which access lists know the asker, or None for the owner."""

    names: frozenset[str] | None

    @classmethod
    def known_as(cls, names: Iterable[str]) -> Self:
        """Somebody who has these names, or none at all: then what is everyone's can be seen."""
        return cls(frozenset(names))

    def condition(self) -> str | None:
        """What holds of every passage that the asker may see, in SQL; None: of all."""
        if self.names is None:
            return None
        if not self.names:
            return "everyone"
        written = ", ".join(literal(each) for each in sorted(self.names))
        return f"(everyone OR array_has_any(access, make_array({written})))"


OWNER = Asker(None)
"""Who may see everything, such as whoever can read the index's files anyway."""
