"""Masking as text comes: given out is only what nothing that follows can change.

Pieces of any size go in; whole parts (a sentence, a paragraph, or so many characters; see
``segments``) come out, masked. Since a part depends on nothing behind it but the first character
after it, the parts of a stream are those of the whole text, and so are the masks: for every way of
cutting a text into pieces, what comes out, joined, is the masked text, and at no time has anything
been given out that is not a beginning of it. Held back are at most
:data:`~studiolo.guard.segments.WINDOW` characters of ordinary text. Deliberately unknown here: who
reads.
"""

from __future__ import annotations

from studiolo.guard.finding import Finding
from studiolo.guard.masking import Masker
from studiolo.guard.rule import BEFORE


class MaskingStream:
    """One text, masked as it comes; ``findings`` are of the text as it was."""

    def __init__(self, masker: Masker) -> None:
        self._masker = masker
        self._held = ""
        self._before = ""
        self._place = 0
        self.findings: list[Finding] = []

    def feed(self, piece: str) -> str:
        """What may be shown once ``piece`` has come, often nothing."""
        self._held += piece
        return self._settled(last=False)

    def finish(self) -> str:
        """The rest, as no more will come."""
        return self._settled(last=True)

    @property
    def held(self) -> int:
        """Characters that have come and are not given out."""
        return len(self._held)

    def _settled(self, *, last: bool) -> str:
        out = []
        while self._held:
            window = self._held[:8192]
            whole = last and len(window) == len(self._held)
            size = self._masker.finder.cut(window, self._before, last=whole)
            if not size:
                break
            part, self._held = self._held[:size], self._held[size:]
            masked = self._masker.mask_part(part, self._before)
            out.append(masked.text)
            self.findings += (each.moved(self._place) for each in masked.findings)
            self._before = (self._before + part)[-BEFORE:]
            self._place += size
        return "".join(out)
