"""Text that arrives token by token: whole characters only, and stop strings.

A token may end in the middle of a character, and a stop string may begin in one
token and end in another. Both classes hold back what cannot be shown yet and no
more: at most three bytes, and at most the longest stop string less one character.

Deliberately unknown here: where tokens come from, and end-of-text tokens, which are
the generator's business.
"""

from __future__ import annotations

import codecs
from collections.abc import Sequence

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tokenizer import Tokenizer


class StreamDecoder:
    """Ids in, text out: all pieces joined equal ``tokenizer.decode(ids)``.

    Each call costs the length of its own token, whatever came before.
    """

    def __init__(self, tokenizer: Tokenizer, skip_special: bool = True) -> None:
        self._speller = tokenizer.speller(skip_special=skip_special)
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def push(self, token_id: int) -> str:
        """The whole characters that this token completes; often none."""
        return self._utf8.decode(self._speller.feed(token_id))

    def flush(self) -> str:
        """What was held back, when no token will follow: U+FFFD for half a character."""
        return self._utf8.decode(b"", final=True)


class StopMatcher:
    """Finds the first of several stop strings in text that arrives in pieces.

    The first is the one that is *complete* first (of two that end together, the
    longer); the text shown ends where it begins, however the pieces are cut. Held back
    is only the longest end of the text that could be the beginning of a stop string.
    ``met`` is the one that was found. Raises :class:`InvalidRequestError` for an empty one.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        if not all(stops):
            raise InvalidRequestError("stop", "a stop string is empty")
        self._stops = tuple(dict.fromkeys(stops))
        self._held = ""
        self.met: str | None = None

    def push(self, piece: str) -> tuple[str, bool]:
        """Text that is safe to show now, and whether a stop string has been met.

        After that nothing more is shown.
        """
        if self.met is not None:
            return "", True
        text = self._held + piece
        # By where they end, then by where they begin.
        found = [(at + len(stop), at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            _, at, self.met = min(found)
            self._held = ""
            return text[:at], True
        safe = self._first_possible(text)
        self._held = text[safe:]
        return text[:safe], False

    def flush(self) -> str:
        """What was held back, when no text will follow."""
        held, self._held = self._held, ""
        return held

    def _first_possible(self, text: str) -> int:
        longest = max(map(len, self._stops), default=1)
        for at in range(max(0, len(text) - longest + 1), len(text)):
            if any(stop.startswith(text[at:]) for stop in self._stops):
                return at
        return len(text)
