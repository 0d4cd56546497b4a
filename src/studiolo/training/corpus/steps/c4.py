"""The rules of C4 for pages of the web (Raffel et al. 2020, §2.2), which mostly work on lines.

Notable choices: that lines must end with a mark is off unless asked for, since it alone costs a
third of all text for little (Penedo et al. 2024, §3.5); the list of bad words is left out, which
drops medicine and minorities first (Dodge et al. 2021, §5); spans of three sentences that recur
are left to the steps ``exact`` and ``near``.
"""

from __future__ import annotations

import re

from pydantic import Field

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.steps.rules import Number, Rules

_CITATION = re.compile(r"\[\d*\]|\[edit\]|\[citation needed\]")
_SENTENCE = re.compile(r"[.!?]+[\"'”’)]*(?=\s|$)")
_NOTICES = (
    *("terms of use", "privacy policy", "cookie policy"),
    *("uses cookies", "use of cookies", "use cookies"),
)
_MARKS = (".", "?", "!", '"', "”", "’", "'")


class C4Rules(Rules):
    """The paper's thresholds."""

    marks: bool = Field(False, description="lines must end with . ? ! or a quotation mark")
    words: Number = Field(5, description="least of a line")
    sentences: Number = Field(3, description="least of a page, after lines were dropped")
    braces: bool = Field(True, description="pages with a curly bracket are dropped, as code")


def c4(document: Document, rules: C4Rules) -> Document | Dropped:
    """The page without lines that are no prose; dropped if it is none."""
    low = document.text.lower()
    if "lorem ipsum" in low:
        return Dropped("lorem ipsum")
    if rules.braces and "{" in low:
        return Dropped("curly bracket")
    kept = []
    for line in document.text.split("\n"):
        plain = _CITATION.sub("", line).rstrip()
        if not plain.strip():
            kept.append(plain)
            continue
        if len(plain.split()) < rules.words or (rules.marks and not plain.endswith(_MARKS)):
            continue
        written = plain.lower()
        if "javascript" in written or any(notice in written for notice in _NOTICES):
            continue
        kept.append(plain)
    text = "\n".join(kept).strip("\n")
    count = len(_SENTENCE.findall(text))
    if count < rules.sentences:
        return Dropped("number of sentences", f"{count}, fewer than {rules.sentences}")
    return document.saying(text)
