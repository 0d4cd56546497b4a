"""What a sequence has said so far, counted as it grows.

The penalties ask which tokens have occurred and how often. Counting the whole text
again for every token would cost the square of its length, so the counts are kept as
tokens arrive, in arrays that the penalties index with directly: a penalty costs the
number of distinct tokens, not the length of the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int64]


class Tally:
    """Distinct token ids in order of first appearance, each with its count."""

    def __init__(self, tokens: Iterable[int] = ()) -> None:
        self._slot: dict[int, int] = {}
        self._ids: Ids = np.zeros(64, dtype=np.int64)
        self._counts: Ids = np.zeros(64, dtype=np.int64)
        for token in tokens:
            self.add(token)

    def __len__(self) -> int:
        return len(self._slot)

    def add(self, token: int) -> None:
        """Count one more ``token``, in amortised constant time."""
        slot = self._slot.get(token)
        if slot is None:
            slot = self._slot[token] = len(self._slot)
            if slot == len(self._ids):
                self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
                self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._ids[slot] = token
        self._counts[slot] += 1

    def copy(self) -> Tally:
        """An equal tally that grows on its own."""
        twin = Tally()
        twin._slot, twin._ids = self._slot.copy(), self._ids.copy()
        twin._counts = self._counts.copy()
        return twin

    def below(self, vocab_size: int) -> tuple[Ids, Ids]:
        """The ids under ``vocab_size`` and their counts, both int64 ``[distinct]``.

        A prompt may hold ids past the logits' end (a tokenizer can be larger than the
        model's head); those cannot be generated, so there is nothing to penalise.
        """
        ids, counts = self._ids[: len(self)], self._counts[: len(self)]
        inside = ids < vocab_size
        return ids[inside], counts[inside]


class History:
    """The tokens of one sequence: its prompt, and what was generated after it."""

    def __init__(self, prompt: Sequence[int] = (), generated: Sequence[int] = ()) -> None:
        self.prompt: tuple[int, ...] = tuple(prompt)
        self._generated: list[int] = []
        self.seen = Tally(self.prompt)
        self.said = Tally()
        for token in generated:
            self.append(token)

    @property
    def generated(self) -> Sequence[int]:
        """The generated tokens in order; they grow by :meth:`append` alone."""
        return self._generated

    def append(self, token: int) -> None:
        """Record the token just chosen."""
        self._generated.append(token)
        self.seen.add(token)
        self.said.add(token)

    def fork(self, token: int) -> History:
        """A history of its own that continues this one with ``token``, as beams do.

        Much cheaper than counting the prompt again.
        """
        twin = History()
        twin.prompt, twin._generated = self.prompt, self._generated.copy()
        twin.seen, twin.said = self.seen.copy(), self.said.copy()
        twin.append(token)
        return twin
