"""FineWeb's own three rules for pages of the web (Penedo et al. 2024, §3.6 "custom filters").

Each is about lines: how many end with a mark, how many characters stand in lines that were there
before, and how many are short.
"""

from __future__ import annotations

from pydantic import Field

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.steps.repetition import again
from studiolo.training.corpus.steps.rules import Number, Part, Rules

_MARKS = (".", "!", "?", "。", "！", "？", '"', "”", "'", "’", "…", ":", ";")


class FineWebRules(Rules):
    """The paper's thresholds."""

    marks: Part = Field(0.12, description="lines that end with a mark: at most so few is too few")
    repeated: Part = Field(0.1, description="characters in repeated lines: so many is too many")
    short: Part = Field(0.67, description="short lines: so many is too many")
    shorter_than: Number = Field(30, description="characters of a line that is not short")


def fineweb(document: Document, rules: FineWebRules) -> Document | Dropped:
    """Drop what breaks a rule; the first that is broken is told."""
    lines = [line.strip() for line in document.text.split("\n") if line.strip()]
    count = max(1, len(lines))
    marks = sum(line.endswith(_MARKS) for line in lines) / count
    if marks <= rules.marks:
        return Dropped("lines that end with a mark", f"{marks:.2f}, at most {rules.marks}")
    _, characters = again(lines)
    if characters >= rules.repeated:
        return Dropped(
            "characters in repeated lines", f"{characters:.2f}, {rules.repeated} or more"
        )
    short = sum(len(line) < rules.shorter_than for line in lines) / count
    if short >= rules.short:
        return Dropped("short lines", f"{short:.2f}, {rules.short} or more")
    return document
