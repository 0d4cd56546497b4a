"""What a route does for one request: read it, check it may be, have it answered, count it.

The same for every dialect: a route reads its body into a :class:`TextAsk`, and says how events
become bytes. A client that goes away before its answer is done cancels it at the next step.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar

from starlette.requests import Request

from studiolo.errors import InvalidRequestError, PermissionDeniedError, TooLargeError
from studiolo.record.grant import Scope
from studiolo.server.context import Context, context_of
from studiolo.server.keeping import keep
from studiolo.server.metering import count
from studiolo.server.replies import EVENTS, Stream, ending, guarded, unless_gone
from studiolo.server.studio import Studio, studio_of
from studiolo.task.asking import (
    Answer,
    Choice,
    Choices,
    Ended,
    Event,
    Outcome,
    Relay,
    TextAsk,
    collect,
)
from studiolo.task.embedding import Text

T = TypeVar("T")


class Desk:
    """One request, and whom it concerns."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.studio: Studio = studio_of(request)
        self.context: Context = context_of(request)
        self._reading = self._watching = self._admitted = False

    @property
    def id(self) -> str:
        """The request's id, without what marks it as one."""
        return self.context.id.removeprefix("req_")

    def require(self, scope: Scope) -> None:
        """Raise :class:`PermissionDeniedError` unless the caller may do this kind of thing."""
        self.context.caller.require(scope)

    async def body(self, limit: int | None = None) -> bytes:
        """The body.

        Raises :class:`TooLargeError` for more than ``limit`` bytes, before they are read if the
        client says how many there are, and :class:`BusyError` while there is no room for it.
        """
        if self._watching:
            raise RuntimeError("the body is to be read before the client is watched")
        limit = limit or self.studio.settings.max_body
        told = self.request.headers.get("content-length", "")
        if told.isascii() and told.isdecimal() and int(told) > limit:
            raise _too_large(limit)
        self._reading = True
        parts, size = [], 0
        async for part in self.request.stream():
            size += len(part)
            if size > limit:
                raise _too_large(limit)
            if self.context.place is not None:
                self.context.place.hold(len(part))
            parts.append(part)
        self._reading = False
        return b"".join(parts)

    def model(self, name: str | None, *, encoder: bool = False) -> str:
        """The model to ask, which the caller may use."""
        settings = self.studio.settings
        chosen = name or (settings.encoder if encoder else settings.model)
        self.context.model = chosen
        if not self.context.caller.may_use(chosen):
            key = self.context.caller.key
            raise PermissionDeniedError(
                f"the key {self.context.caller.id} is not for the model {chosen!r}",
                remedy=f"It is for {', '.join(key.models if key else ())}.",
            )
        return chosen

    async def whole(self, ask: TextAsk, write: Callable[[list[Choice], Outcome, str], Any]) -> Any:
        """What ``write`` makes of the samples, the outcome and the fingerprint of an answer."""

        async def work() -> Any:
            async with self.answer(ask) as answer:
                choices = await collect(answer)
                return write(choices, answer.outcome, answer.fingerprint)

        return await self.unless_gone(work())

    @asynccontextmanager
    async def answer(
        self, ask: TextAsk, notes: Callable[[Answer], Mapping[str, Any]] = lambda answer: {}
    ) -> AsyncIterator[Answer]:
        """An answer under way, which is counted, and kept if the policy says so, when it is over.

        ``notes``: what is to be kept beside it, asked once its events are over.
        """
        await self.admit()
        house, client = self.studio.house, self.context.caller.id
        async with house.tell(ask, client=client, timeout=self.studio.settings.timeout) as answer:
            seen = _Seen(answer, self, ask, notes)
            try:
                yield seen
            finally:
                await seen.close()

    async def stream(
        self,
        ask: TextAsk,
        write: Callable[[Answer], AsyncIterator[bytes]],
        failed: Callable[[Exception], bytes],
        media_type: str = EVENTS,
        notes: Callable[[Answer], Mapping[str, Any]] = lambda answer: {},
    ) -> Stream:
        """A response of the bytes that ``write`` makes of an answer under way.

        What is refused is refused before anything is sent; what fails later is told by the piece
        that ``failed`` makes of it. ``notes``: as of :meth:`answer`.
        """
        async with AsyncExitStack() as held:
            answer = await self.unless_gone(held.enter_async_context(self.answer(ask, notes)))
            rest = held.pop_all()

        def note(error: Exception) -> bytes:
            self.context.failed(error)
            return failed(error)

        return Stream(guarded(write(answer), note), rest.aclose, media_type)

    async def embed(self, name: str, texts: Sequence[Text], *, truncate: bool) -> tuple[Any, int]:
        """The vectors of ``texts``, and how many tokens they have."""

        async def work() -> tuple[Any, int]:
            await self.admit()
            vectors, tokens = await self.studio.house.embed(
                name,
                texts,
                truncate=truncate,
                client=self.context.caller.id,
                timeout=self.studio.settings.timeout,
            )
            self.count(Outcome(tokens, 0, 0, None, 0.0))
            return vectors, tokens

        return await self.unless_gone(work())

    async def unless_gone(self, work: Awaitable[T]) -> T:
        """What ``work`` gives; cancelled when the client goes away, which raises.

        The body is to be read before: what the client sends meanwhile is thrown away.
        """
        if self._reading:
            raise RuntimeError("the body is to be read to its end before the client is watched")
        self._watching = True
        try:
            return await unless_gone(self.request.receive, work)
        finally:
            self._watching = False

    def count(self, outcome: Outcome) -> None:
        """Note what an answer took, and charge it."""
        count(self.context, outcome, self.studio.settings, self.studio.limiter)

    async def admit(self) -> None:
        """Take the request from what its key may ask for, once, however often this is called.

        A route that opens a model or encodes a text before it asks calls it before. Raises
        :class:`~studiolo.server.limits.LimitError`.
        """
        key = self.context.caller.key
        if self._admitted or key is None:
            return
        self._admitted = True
        if key.limits.budget is None:
            self.studio.limiter.admit(key)
        else:  # which may have to read what was spent
            await asyncio.to_thread(self.studio.limiter.admit, key)


class _Seen(Relay):
    """An answer whose end is noted, however it comes."""

    def __init__(
        self,
        answer: Answer,
        desk: Desk,
        ask: TextAsk,
        notes: Callable[[Answer], Mapping[str, Any]],
    ) -> None:
        super().__init__(answer)
        self._desk, self._ask, self._notes = desk, ask, notes
        self._events: AsyncIterator[Event] | None = None
        self._whole = False

    def __aiter__(self) -> AsyncIterator[Event]:
        self._events = self._heard()
        return self._events

    async def _heard(self) -> AsyncIterator[Event]:
        contents, context = self._desk.studio.records.contents, self._desk.context
        reasons, choices, events = set(), Choices(), aiter(self._answer)
        async with ending(events):
            async for event in events:
                if isinstance(event, Ended):
                    reasons.add(event.reason)
                if contents.policy.contents or contents.policy.receipts:
                    choices.hear(event)
                yield event
        self._whole, context.finish = True, ",".join(sorted(reasons)) or None
        self._desk.count(self._answer.outcome)
        notes = self._notes(self._answer)
        await keep(contents, context, self._ask, choices.made, self._answer, notes)

    async def close(self) -> None:
        """Let no more come, and charge an answer that broke off what it took."""
        if self._events is not None:
            async with ending(self._events):
                pass
        if not self._whole:
            self._desk.count(self._answer.outcome)


def _too_large(limit: int) -> TooLargeError:
    return TooLargeError(
        f"the body is larger than {limit:,} bytes", remedy="Send less, or in several requests."
    )


def whole_number(field: str, text: str, low: int, high: int) -> int:
    """A number of an address or a query; raises :class:`InvalidRequestError`."""
    if not (text.isascii() and text.isdecimal()) or not low <= int(text) <= high:
        raise InvalidRequestError(field, f"must be a whole number, {low} to {high}, not {text!r}")
    return int(text)
