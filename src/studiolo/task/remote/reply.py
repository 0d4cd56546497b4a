"""An answer from elsewhere, under way: as any other answer, with what it took."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, AsyncIterator

from studiolo.task.asking import Ended, Event, Outcome, Piece
from studiolo.task.remote.wire import Reader, Tally

BYTES = 4
"""Bytes to a token, where an upstream does not say how many tokens there were."""


class RemoteAnswer:
    """As :class:`studiolo.task.asking.Answer`; close it.

    ``events``: all of them; the first is fetched by :meth:`begin`. ``asked``: bytes of the
    request. ``started``: of ``perf_counter``.
    """

    def __init__(
        self, events: AsyncGenerator[Event, None], reader: Reader, asked: int, started: float
    ) -> None:
        self._events, self._reader, self._asked, self._started = events, reader, asked, started
        self._first: Event | None = None
        self._seconds_to_first: float | None = None
        self._seconds: float | None = None
        self._said = 0

    async def begin(self) -> None:
        """Wait for the first event; raises what waiting for it does."""
        self._first = await anext(self._events)
        if not isinstance(self._first, Ended):
            self._seconds_to_first = time.perf_counter() - self._started

    async def aclose(self) -> None:
        """Have the upstream stop."""
        await self._events.aclose()

    @property
    def fingerprint(self) -> str:
        """The upstream's own, if it has one."""
        return self._reader.fingerprint

    @property
    def prompt_tokens(self) -> int:
        """Tokens asked with, as the upstream says; while it has not said, an estimate."""
        told = self._reader.tally.prompt
        return -(-self._asked // BYTES) if told is None else told

    async def __aiter__(self) -> AsyncIterator[Event]:
        """The events, as they come."""
        if self._first is not None:
            yield self._heard(self._first)
        async for event in self._events:
            yield self._heard(event)
        self._seconds = time.perf_counter() - self._started

    @property
    def outcome(self) -> Outcome:
        """What it took, as the upstream says; before it has, an estimate of what it said."""
        tally: Tally = self._reader.tally
        made, seconds = tally.completion, self._seconds
        if made is None or seconds is None:  # some count what is yet to come as one
            made = max(made or 0, -(-self._said // BYTES))
        if seconds is None:
            seconds = time.perf_counter() - self._started
        cached = min(tally.cached, self.prompt_tokens)
        return Outcome(self.prompt_tokens, cached, made, self._seconds_to_first, seconds)

    def receipt(self) -> None:
        """None: it cannot be made again here."""

    def _heard(self, event: Event) -> Event:
        if isinstance(event, Piece):
            self._said += len(event.text.encode("utf-8", "replace"))
        return event
