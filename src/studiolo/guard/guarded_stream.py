"""A policy enforced while text comes: nothing is given out before it has been judged.

Text is judged in the parts of ``segments`` (a sentence as a rule), and a part is given out when all
checks have judged it. The first part that is blocked ends the stream with the policy's message.
Notable choices: a part begins and ends where no word, expression or personal data that can be seen
lies across; what can only be said of the whole (a contract of form, grounding) holds all of it back
to the end, as nothing else would be enforcement. Deliberately unknown here: who speaks.
"""

from __future__ import annotations

from collections.abc import Callable

from studiolo.guard.checking import Ask, Context, Direction
from studiolo.guard.enforcing import Guard
from studiolo.guard.policy import Action
from studiolo.guard.rule import BEFORE
from studiolo.guard.segments import cut
from studiolo.guard.trace import Hit, Outcome


class GuardedStream:
    """One text, judged as it comes. ``blocked``: whether it was ended; more is then ignored."""

    def __init__(self, guard: Guard, direction: Direction, context: Context | None = None) -> None:
        self._guard, self._direction = guard, direction
        self._context = context or Context()
        self._checks = guard.checks[direction]
        self._whole = any(each.whole for each in self._checks)
        self._held = self._before = ""
        self._place = 0
        self._hits: list[Hit] = []
        self._said: list[str] = []
        self.blocked = False

    def feed(self, piece: str) -> str:
        """What may be given out once ``piece`` has come."""
        if self.blocked:
            return ""
        self._held += piece
        return "" if self._whole else self._settled(last=False)

    def finish(self) -> str:
        """The rest, or the policy's message."""
        if self.blocked:
            return ""
        if not self._whole:
            return self._settled(last=True)
        text, self._held = self._held, ""
        return self._judged(Ask(text, context=self._context))

    def outcome(self) -> Outcome:
        """What was given out altogether, and the trace."""
        done = self._guard.outcome("", self._hits, self._direction)
        return Outcome(done.action, "".join(self._said), done.findings, done.policy)

    def _settled(self, *, last: bool) -> str:
        out = []
        while self._held and not self.blocked:
            window = self._held[:8192]
            size = cut(window, self._marks(), last=last and len(window) == len(self._held))
            if not size:
                break
            part, self._held = self._held[:size], self._held[size:]
            out.append(self._judged(Ask(part, self._before, self._context)))
            self._before = (self._before + part)[-BEFORE:]
        return "".join(out)

    def _marks(self) -> Callable[[str], list[tuple[int, int]]]:
        """What a cut by length must not go through."""
        exact = [each for each in self._checks if each.exact]

        def inside(text: str) -> list[tuple[int, int]]:
            hits = self._guard.hits(Ask(text, self._before), exact)
            return sorted((each.start, each.end) for each in hits if each.failed is None)

        return inside

    def _judged(self, ask: Ask) -> str:
        hits = self._guard.hits(ask, self._checks)
        outcome = self._guard.outcome(ask.text, hits, self._direction)
        self._hits += (
            Hit(
                each.start + self._place,
                each.end + self._place,
                each.rule,
                each.score,
                each.action,
                each.failed,
            )
            for each in hits
        )
        self._place += len(ask.text)
        self.blocked = outcome.action is Action.BLOCK
        self._said.append(outcome.text)
        return outcome.text
