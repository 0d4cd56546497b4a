"""One spelling for what looks the same: Unicode's composed form, line ends, no invisible controls.

Unicode Standard Annex 15 (NFC by default, which changes no meaning; NFKC also unfolds ligatures,
full-width letters and the like). Line ends become ``\\n``, control characters but tab and newline
go, as do lone surrogates, byte-order marks, spaces at line ends, blank lines beyond two, and those
at the beginning and the end.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Literal

from pydantic import Field

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.steps.rules import Rules

_ENDS = re.compile("\r\n?|\u2028|\u2029|\x85")
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ud800-\udfff]")
_TRAILING = re.compile(r"[^\S\n]+$", re.MULTILINE)
_LAST = re.compile(r"\n{2,}\Z")
_BLANK = re.compile(r"\n{4,}")


class NormaliseRules(Rules):
    """How texts are spelt."""

    form: Literal["NFC", "NFKC", "none"] = Field("NFC", description="Unicode normalisation form")


def normalise(document: Document, rules: NormaliseRules) -> Document | Dropped:
    """The document in one spelling; dropped if nothing is left of it."""
    text = _INVISIBLE.sub("", _ENDS.sub("\n", document.text))
    if rules.form != "none":
        text = unicodedata.normalize(rules.form, text)
    text = _LAST.sub("\n", _BLANK.sub("\n\n\n", _TRAILING.sub("", text)).lstrip("\n"))
    return document.saying(text) if text.strip() else Dropped("is empty")
