"""Where all documents come together: copies are turned away, personal data masked.

Documents must come in the order of the sources and their files, whoever worked on them, so that
the first of several copies is always the same one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from studiolo.training.corpus.chain import Outcome
from studiolo.training.corpus.document import Dropped
from studiolo.training.corpus.recipe import StepsRecipe
from studiolo.training.corpus.seen import Seen
from studiolo.training.corpus.steps.exact import exact
from studiolo.training.corpus.steps.mask import mask
from studiolo.training.corpus.steps.near import near

Masker = Callable[[str], str]


class Gate:
    """``masker``: what personal data become, or None."""

    def __init__(self, seen: Seen, masker: Masker | None) -> None:
        self._seen, self._masker = seen, masker

    def passed(self, outcome: Outcome, rules: StepsRecipe) -> Outcome:
        """``outcome``, or what becomes of its document here."""
        if outcome.dropped is not None:
            return outcome
        document = outcome.document
        if rules.exact.apply:
            said = exact(document, self._seen)
            if isinstance(said, Dropped):
                return replace(outcome, by="exact", dropped=said)
        if rules.near.apply:
            said = near(document, rules.near, self._seen, outcome.signature)
            if isinstance(said, Dropped):
                return replace(outcome, by="near", dropped=said)
        if self._masker is not None:
            masked = mask(document, self._masker)
            if isinstance(masked, Dropped) or not masked.text.strip():
                return replace(outcome, by="mask", dropped=Dropped("is empty"))
            if masked is not document:
                changed = (*outcome.changed, "mask")
                return replace(outcome, document=masked, changed=changed)
        return outcome
