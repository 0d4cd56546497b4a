"""A model elsewhere that says what a test wants it to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from studiolo.record.receipt import Receipt
from studiolo.task.asking import Answer, Event, Outcome, TextAsk


class Said:
    """An answer of events that are given."""

    fingerprint = "fp_scripted"

    def __init__(self, events: Sequence[Event], outcome: Outcome) -> None:
        self._events, self.outcome = events, outcome
        self.prompt_tokens = outcome.prompt_tokens

    async def __aiter__(self) -> AsyncIterator[Event]:
        for event in self._events:
            yield event

    def receipt(self) -> Receipt | None:
        """None: it was not made here."""
        return None


class Scripted:
    """Answers one list of events after another; ``asked`` is what it was asked."""

    def __init__(self, *answers: Sequence[Event], outcome: Outcome) -> None:
        self._answers, self._outcome = list(answers), outcome
        self.asked: list[TextAsk] = []

    @asynccontextmanager
    async def tell(self, ask: TextAsk, *, client: str) -> AsyncIterator[Answer]:
        """The next answer."""
        self.asked.append(ask)
        yield Said(self._answers.pop(0), self._outcome)
