"""A policy enforced: every check run within its time, and what it finds acted on.

**Fail closed.** A check that raises or takes longer than the policy allows blocks the text, says in
the trace which check it was, and is counted; nothing goes on that was not judged. Notable choice:
each check runs on a thread of its own, so that one that hangs is left behind, and the others go on.
A policy of mode ``detect`` changes and blocks nothing; its trace says what was found.
Deliberately unknown here: rules (``checking``), pieces (``guarded_stream``), models.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from studiolo.errors import InvalidRequestError
from studiolo.guard.checking import Ask, Check, Context, Direction, checks_of
from studiolo.guard.finding import Kind
from studiolo.guard.meaning import Embedder
from studiolo.guard.names import Names
from studiolo.guard.policy import Action, Policy
from studiolo.guard.pseudonyms import Pseudonyms
from studiolo.guard.trace import Hit, Outcome

_ORDER = list(Action)


class Guard:
    """Enforces ``policy``. ``failures``: how often each check failed, by its name and reason."""

    def __init__(
        self,
        policy: Policy,
        *,
        embed: Embedder | None = None,
        names: Names | None = None,
        pseudonyms: Pseudonyms | None = None,
    ) -> None:
        """What the policy needs must be given: see :func:`studiolo.guard.checking.checks_of`."""
        self.policy, self._pseudonyms = policy, pseudonyms
        self.failures: Counter[str] = Counter()
        self.checks: dict[Direction, list[Check]] = {
            "input": checks_of(policy, "input", embed=embed, names=names),
            "output": checks_of(policy, "output", embed=embed, names=names),
        }
        hidden = any(Action.PSEUDONYMISE in (each.input, each.output) for each in policy.personal)
        if hidden and pseudonyms is None:
            raise InvalidRequestError(
                "personal", "asks for pseudonyms, and there is no key", remedy="Hand in a key."
            )

    def judge(self, text: str, direction: Direction, context: Context | None = None) -> Outcome:
        """What becomes of a whole ``text`` that goes in or comes out."""
        hits = self.hits(Ask(text, context=context or Context()), self.checks[direction])
        return self.outcome(text, hits, direction)

    def hits(self, ask: Ask, checks: Sequence[Check]) -> list[Hit]:
        """What ``checks`` find, in order, each check within the policy's time."""
        answers: queue.SimpleQueue[tuple[Check, list[Hit] | str]] = queue.SimpleQueue()

        def run(check: Check) -> None:
            try:
                answers.put((check, list(check.find(ask))))
            except Exception as error:
                answers.put((check, type(error).__name__))  # its message may quote the text

        for check in checks:
            threading.Thread(target=run, args=(check,), daemon=True).start()
        end = time.monotonic() + self.policy.seconds
        waiting, found = list(checks), list[Hit]()
        while waiting:
            try:
                check, answer = answers.get(timeout=max(0.0, end - time.monotonic()))
            except queue.Empty:
                found += (self._failed(check, ask, "TimeoutError") for check in waiting)
                break
            waiting.remove(check)
            found += [self._failed(check, ask, answer)] if isinstance(answer, str) else answer
        if self.policy.mode == "detect":
            found = [
                Hit(each.start, each.end, each.rule, each.score, Action.DETECT, each.failed)
                for each in found
            ]
        return sorted(found, key=lambda each: (each.start, each.end, each.rule))

    def outcome(self, text: str, hits: Sequence[Hit], direction: Direction) -> Outcome:
        """What ``hits`` make of ``text``: as it is, masked, or the policy's message."""
        action = max((each.action for each in hits), key=_ORDER.index, default=Action.NONE)
        if action is Action.BLOCK:
            text = getattr(self.policy.messages, direction)
        elif action in (Action.MASK, Action.PSEUDONYMISE):
            text = self.masked(text, hits)
        shown = Action.NONE if action is Action.DETECT else action
        shown = Action.MASK if shown is Action.PSEUDONYMISE else shown
        return Outcome(shown, text, tuple(hits), self.policy.digest)

    def masked(self, text: str, hits: Iterable[Hit]) -> str:
        """``text`` with every hit that is to be hidden replaced; where two lap over, both are."""
        out, place = [], 0
        for each in sorted(hits, key=lambda each: (each.start, -each.end)):
            if each.action not in (Action.MASK, Action.PSEUDONYMISE) or each.end <= place:
                continue
            start = max(place, each.start)
            out += [text[place:start], self._instead(text[start : each.end], each)]
            place = each.end
        return "".join([*out, text[place:]])

    def _instead(self, value: str, hit: Hit) -> str:
        kind, _, name = hit.rule.partition(".")
        if hit.action is Action.PSEUDONYMISE and self._pseudonyms is not None:
            return self._pseudonyms.hide(value, Kind(name))
        return "{WORD}" if kind == "words" else f"{{{name}}}"

    def _failed(self, check: Check, ask: Ask, why: str) -> Hit:
        self.failures[f"{check.rule}: {why}"] += 1
        return Hit(0, len(ask.text), check.rule, 1.0, Action.BLOCK, why)
