"""Only documents under licences that one has chosen (as in The Stack: Kocetkov et al. 2022, §3)."""

from __future__ import annotations

from pydantic import Field

from studiolo.training.corpus.document import Document, Dropped
from studiolo.training.corpus.steps.rules import Rules


class LicenceRules(Rules):
    """Which licences may come in."""

    allow: tuple[str, ...] | None = Field(
        None, description="SPDX identifiers, in any case; null: all"
    )
    deny: tuple[str, ...] = Field((), description="SPDX identifiers, in any case")


def licence(document: Document, rules: LicenceRules) -> Document | Dropped:
    """Drop what is denied, and what is not among the allowed."""
    own = document.licence.lower()
    if own in {each.lower() for each in rules.deny}:
        return Dropped("is denied", document.licence)
    if rules.allow is not None and own not in {each.lower() for each in rules.allow}:
        return Dropped("is not among the allowed", document.licence)
    return document
