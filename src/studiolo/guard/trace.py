"""What a policy did, and why, without what it hid.

A hit says which rule found something, where, how surely and what was done; an outcome has them all.
Neither holds any text that was found: a trace is kept in logs, and what must not be said must not
be kept there either. Of a check that failed only the kind of failure is told, since a message may
quote what was being checked.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from studiolo.guard.policy import Action


@dataclass(frozen=True, order=True)
class Hit:
    """``rule`` as ``words.profanity`` or ``personal.EMAIL``; the span in characters of the text.

    ``score``: 0 to 1. ``failed``: why the check could not be made, in one word; its span is all.
    """

    start: int
    end: int
    rule: str
    score: float
    action: Action
    failed: str | None = None


@dataclass(frozen=True)
class Outcome:
    """``action``: the strictest that was taken. ``text``: what may go on in place of the text."""

    action: Action
    text: str
    findings: tuple[Hit, ...]
    policy: str

    @property
    def blocked(self) -> bool:
        """Whether nothing of the text may go on."""
        return self.action is Action.BLOCK

    def as_json(self) -> dict[str, Any]:
        """Plain values; ``failed`` only where something did."""
        found = [asdict(each) for each in self.findings]
        for each in found:
            if each["failed"] is None:
                del each["failed"]
        return {
            "action": self.action.value,
            "text": self.text,
            "findings": found,
            "policy": self.policy,
        }
