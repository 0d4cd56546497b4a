"""Guesses at what comes next, looked up in what the sequence has said already.

Where a text repeats itself or its prompt (quotations, code, tables, names), the tokens that
followed its last few before are likely to follow them again (Saxena 2023, "Prompt lookup
decoding"). Whoever runs the model reads several guesses in one step and keeps those that it
would have chosen anyway, as with a small draft model (Leviathan et al. 2023), but for nothing.

Notable choices. *How good guesses are is measured on every token, whether or not they were read*:
a look-up costs next to nothing, so guessing pauses where it does not pay and resumes where it
would, without a trial. *A longer match is trusted more*: chances are kept by its length. Guesses
decide how long a text takes and nothing else.

This module does not know the model, nor how tokens are chosen.
"""

from __future__ import annotations

from collections.abc import Sequence

SIZES = (3, 2)
"""How many tokens are looked up, the longer first."""
LONGEST = 8
"""Matches of this length and longer ones are trusted alike."""
PACE = 1 / 8
"""How much of an estimate the newest observation is."""
ROWS = 8
"""Rows that a step reads together; the ninth costs as much as all of these."""
SETUP = 5.0
"""What a step costs before its first row, in rows: measured 7 to 9, less what doubt asks for."""


class Lookup:
    """The n-grams of one sequence, which grows by :meth:`append` in constant time."""

    def __init__(self, tokens: Sequence[int]) -> None:
        self._tokens: list[int] = []
        self._after: dict[tuple[int, ...], int] = {}
        self._place: int | None = None  # of the token that followed last time
        self._length = 0  # of the match before it
        self._chances = [min(0.9, (n + 1) / 10) for n in range(LONGEST + 1)]
        for token in tokens:
            self._tokens.append(token)
            if len(self._tokens) == len(tokens):
                self._find()
            self._note()

    def append(self, token: int) -> None:
        """Record the token that was chosen; what was expected in its place is judged by it."""
        hit = False
        if self._place is not None:
            hit = self._tokens[self._place] == token
            length = min(self._length, LONGEST)
            self._chances[length] += PACE * (hit - self._chances[length])
        self._tokens.append(token)
        if self._place is not None and hit:
            self._place, self._length = self._place + 1, self._length + 1
        else:
            self._find()
        self._note()

    def guess(self, most: int, company: int = 1) -> tuple[int, ...]:
        """The tokens worth reading beforehand, ``most`` of them at most, and mostly none.

        ``company``: how many rows a step reads without anybody's guesses. A guess is worth its
        row if it is right more often than rows of the step bring tokens for what they cost.
        """
        guesses: list[int] = []
        most = min(most, ROWS // company - 1)
        if self._place is None:
            return ()
        chance, expected = 1.0, 1.0
        while len(guesses) < most:
            chance *= self._chances[min(self._length + len(guesses), LONGEST)]
            if chance * (SETUP + company * (1 + len(guesses))) < company * expected:
                break
            at = self._place + len(guesses)
            over = at - len(self._tokens)  # a repetition may run on into its own guesses
            guesses.append(self._tokens[at] if over < 0 else guesses[over])
            expected += chance
        return tuple(guesses)

    def _find(self) -> None:
        for size in SIZES:
            place = self._after.get(tuple(self._tokens[-size:]))
            if place is not None:
                self._place, self._length = place, size
                return
        self._place = None

    def _note(self) -> None:
        for size in SIZES:
            if len(self._tokens) >= size:
                self._after[tuple(self._tokens[-size:])] = len(self._tokens)
