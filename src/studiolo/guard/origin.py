"""What can be said of where a file comes from, and how surely each of it.

Four kinds of evidence, each with what it is worth. *The log*: this installation made exactly this;
that is signed. *A manifest*: signed inside the file, by us or by somebody else. *A watermark*: a
p-value, for this installation's key. *A label*: what anybody can write. There is no fifth: no
guess from style, which accuses the innocent.

Nothing that is found does not mean that no machine made it, and the statements say so.

Knows no files and no models: bytes, tokenizers and keys are handed in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from studiolo.errors import MalformedFileError
from studiolo.guard import marks
from studiolo.guard.credentials import Manifest, media_type
from studiolo.guard.detector import Evidence, examine
from studiolo.record.entry import Entry
from studiolo.sampler.watermark import Watermark

Certainty = Literal["proven", "strong", "weak", "claimed", "none"]
SURE = -6.0
"""log₁₀ of the p-value from which a watermark is called found: one in a million."""
PERHAPS = -2.0
MOST_CHARACTERS, MOST_TOKENS = 400_000, 50_000
"""Of the beginning of a text, that a mark is looked for in; a tenth of it settles the question."""
SHORT = 40
"""Characters below which others may well have written the same."""


@dataclass(frozen=True)
class Statement:
    """One thing that can be said. ``certainty``: *proven* by a signature; *strong* or *weak* by a
    p-value; *claimed* by the file itself; *none*."""

    about: Literal["log", "watermark", "credentials", "label"]
    certainty: Certainty
    says: str


@dataclass(frozen=True)
class Mark:
    """The watermark in a text as the tokenizer of ``model`` reads it.

    ``log10_p``: of the p-value, multiplied by the ``tried`` ways of reading it (Bonferroni).
    """

    model: str
    tokens: int
    tried: int
    evidence: Evidence
    log10_p: float


def text_of(data: bytes) -> str | None:
    """The text that a file is, or None if it is something else."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def mark_in(
    text: str,
    watermark: Watermark,
    encoders: Mapping[str, Callable[[str], Sequence[int]]],
) -> Mark | None:
    """The best evidence of a watermark in ``text``, or None without encoders.

    ``encoders``: from a text to token ids, by the name of a model.
    """
    seen: dict[tuple[int, ...], tuple[str, Evidence]] = {}
    for name, encode in encoders.items():
        tokens = tuple(encode(text[:MOST_CHARACTERS])[:MOST_TOKENS])
        if tokens not in seen:
            seen[tokens] = name, examine(tokens, watermark)
    if not seen:
        return None
    tokens, (name, evidence) = min(seen.items(), key=lambda each: each[1][1].log10_p)
    corrected = min(0.0, evidence.log10_p + math.log10(len(seen)))
    return Mark(name, len(tokens), len(seen), evidence, corrected)


@dataclass(frozen=True)
class Origin:
    """All that was found in a file. ``kind``: ``text``, a media type, or ``unknown``.

    ``manifest``: None where there is none, or where nothing here can read one (``unread`` says
    why not).
    """

    kind: str
    size: int
    logged: tuple[Entry, ...] = ()
    mark: Mark | None = None
    manifest: Manifest | None = None
    unread: str | None = None
    labelled: bool = False
    short: bool = False

    def statements(self) -> list[Statement]:
        """What can be said, the surest first."""
        every = [*self._log(), *self._credentials(), *self._watermark(), *self._label()]
        order: Sequence[Certainty] = ("proven", "strong", "weak", "claimed", "none")
        return sorted(every, key=lambda each: order.index(each.certainty))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        mark = self.mark
        return {
            "kind": self.kind,
            "bytes": self.size,
            "log": [
                {"entry": each.number, "time": each.time, "receipt": each.receipt}
                for each in self.logged
            ],
            "watermark": None
            if mark is None
            else {
                "model": mark.model,
                "tokens": mark.tokens,
                "scored": mark.evidence.scored,
                "score": mark.evidence.score,
                "p_value": min(1.0, float(10.0**mark.log10_p)),
                "log10_p": mark.log10_p,
                "readings_tried": mark.tried,
            },
            "credentials": None if self.manifest is None else asdict(self.manifest),
            "credentials_unread": self.unread,
            "label": self.labelled,
            "statements": [asdict(each) for each in self.statements()],
        }

    def _log(self) -> list[Statement]:
        if not self.logged:
            says = "No receipt in this installation's log tells of it."
            return [Statement("log", "none", says)]
        first = self.logged[0]
        what = "A text of these words" if self.kind == "text" else "This file"
        says = (
            f"{what} was made here at {first.time}: entry {first.number:,} of the log, "
            f"receipt {first.receipt}."
        )
        if len(self.logged) > 1:
            says += f" And {len(self.logged) - 1:,} times more."
        if self.short:
            says += " So short a text others may have written too."
        return [Statement("log", "proven", says)]

    def _watermark(self) -> list[Statement]:
        mark = self.mark
        if mark is None:
            return []
        if not mark.evidence.scored:
            return [Statement("watermark", "none", "It is too short to carry a watermark.")]
        odds = f"p = {_power(mark.log10_p)}, {mark.evidence.scored:,} tokens scored"
        if mark.log10_p <= SURE:
            says = (
                f"It carries this installation's watermark ({odds}): without it, one text in "
                f"{_power(-mark.log10_p)} looks like this."
            )
            return [Statement("watermark", "strong", says)]
        if mark.log10_p <= PERHAPS:
            says = (
                f"It may carry this installation's watermark ({odds}): without it, one text in "
                f"{_power(-mark.log10_p)} looks like this."
            )
            return [Statement("watermark", "weak", says)]
        says = (
            f"No watermark of this installation's was found ({odds}). Rewritten, short or "
            "predictable texts lose it, and others' machines leave none of ours."
        )
        return [Statement("watermark", "none", says)]

    def _credentials(self) -> list[Statement]:
        manifest = self.manifest
        if self.unread is not None:
            return [Statement("credentials", "none", self.unread)]
        if manifest is None:
            return []
        made = "made by a generative model" if manifest.generated else "made"
        if manifest.state == "ours":
            says = f"This installation signed that it was {made}, and nothing was changed since."
            if receipt := manifest.receipt.get("receipt"):
                says += f" Its receipt: {receipt}."
            return [Statement("credentials", "proven", says)]
        if manifest.state == "valid":
            says = (
                f"{manifest.signer or 'Somebody'} signed that it was {made} with "
                f"{manifest.generator or 'an unnamed program'}, and nothing was changed since. "
                "Nobody here vouches for that name."
            )
            return [Statement("credentials", "claimed", says)]
        says = (
            "It has a manifest that is not true of it: file or manifest were changed "
            f"({', '.join(manifest.problems) or 'no reason given'})."
        )
        return [Statement("credentials", "none", says)]

    def _label(self) -> list[Statement]:
        if not self.labelled:
            return []
        says = "It says itself that it was made by AI. Anybody can write that, or take it off."
        return [Statement("label", "claimed", says)]


def is_labelled(data: bytes, text: str | None) -> bool:
    """Whether a text or a picture says itself that it was made by AI."""
    if text is not None:
        return marks.is_labelled(text)
    if media_type(data) != "image/png":
        return False
    try:
        return marks.says_generated(marks.png_texts(data))
    except MalformedFileError:
        return False


def _power(log10: float) -> str:
    """A number as people read it: ``0.031``, ``250``, ``10^-23``."""
    if -4 < log10 < 4:
        return f"{10**log10:,.2g}" if log10 < 1 else f"{10**log10:,.0f}"
    return f"10^{log10:.0f}"
