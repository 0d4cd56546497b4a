"""A masker: a text without its personal data, each replaced by its kind or by a pseudonym.

``{EMAIL}`` stands for an e-mail address, as in Amazon Bedrock Guardrails; with a key it is
``{EMAIL:…}``, which the key's holder can undo (``pseudonyms``). A masker is a function of text to
text, which is what the corpus steps and the export of feedback take. Notable choice: what is masked
is masked again without change, since a label or pseudonym is no personal data; pseudonyms of
another key are text. Deliberately unknown here: streams (``stream``), policies.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from studiolo.errors import MissingExtraError
from studiolo.guard.finder import ALL, Finder, outside
from studiolo.guard.finding import Finding, Kind
from studiolo.guard.names import NAMES_MODEL, Names, folder_of_names
from studiolo.guard.pseudonyms import Pseudonyms
from studiolo.guard.rule import BEFORE

_LABEL = re.compile(rf"\{{(?:{'|'.join(Kind)})\}}")


@dataclass(frozen=True)
class Masked:
    """``text``: what may be shown. ``findings``: of the text as it was, without overlap."""

    text: str
    findings: tuple[Finding, ...]


class Masker:
    """Replaces what ``finder`` finds, by its kind or, with ``pseudonyms``, by one of those."""

    def __init__(self, finder: Finder, pseudonyms: Pseudonyms | None = None) -> None:
        self.finder, self.pseudonyms = finder, pseudonyms

    def __call__(self, text: str) -> str:
        """``text``, masked."""
        return self.mask(text).text

    def mask(self, text: str) -> Masked:
        """``text``, masked, and what was found in it."""
        pieces: list[str] = []
        findings: list[Finding] = []
        for start, part in self.finder.parts(text):
            masked = self.mask_part(part, text[max(0, start - BEFORE) : start])
            pieces.append(masked.text)
            findings += (each.moved(start) for each in masked.findings)
        return Masked("".join(pieces), tuple(findings))

    def mask_part(self, part: str, before: str) -> Masked:
        """One part of a text, as the finder cuts it; ``before``: what came ahead of it."""
        found = self.finder.find_in(part, before)
        done = [each.span() for each in _LABEL.finditer(part)]
        if self.pseudonyms is not None:
            done += self.pseudonyms.spans(part)
        if done:
            found = outside(part, found, done)
        out, place = [], 0
        for each in found:
            out += [part[place : each.start], self._instead(part[each.start : each.end], each.kind)]
            place = each.end
        return Masked("".join([*out, part[place:]]), tuple(found))

    def _instead(self, value: str, kind: Kind) -> str:
        return f"{{{kind}}}" if self.pseudonyms is None else self.pseudonyms.hide(value, kind)


def needs_names(kinds: Iterable[Kind]) -> bool:
    """Whether ``kinds`` are found better, or at all, with the model of names."""
    return bool({Kind.NAME, Kind.ADDRESS} & set(kinds))


def standard_masker(kinds: Iterable[Kind] = ALL, pseudonyms: Pseudonyms | None = None) -> Masker:
    """A masker with all that is installed here, the model of names among it.

    Raises :class:`MissingExtraError` without the extra ``guard``, and
    :class:`~studiolo.errors.SourceError` where the model has not been pulled and cannot be.
    """
    kinds = frozenset(kinds)
    names = None
    if needs_names(kinds):
        try:
            import spacy  # noqa: F401
        except ImportError:
            raise MissingExtraError("finding people's names", "guard") from None
        folder = folder_of_names()
        if folder is None:
            from studiolo.bundle.pull import ensure

            folder = ensure(NAMES_MODEL).path
        names = Names.load(folder)
    return Masker(Finder(kinds, names), pseudonyms)
