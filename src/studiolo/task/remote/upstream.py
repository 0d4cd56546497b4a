"""One upstream: asked as often as it takes, and left alone once it has failed too often.

Only what has not begun is tried again: once an event has been given out, a failure is told.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any, TypeVar

from studiolo.errors import StudioloError, UpstreamError
from studiolo.task.asking import Event, TextAsk
from studiolo.task.remote.anthropic import AnthropicWire
from studiolo.task.remote.breaker import Breaker
from studiolo.task.remote.failure import Cleaner, FailedError, failed, of_resting, of_trouble
from studiolo.task.remote.openai import OpenAIWire
from studiolo.task.remote.reply import RemoteAnswer
from studiolo.task.remote.settings import Remote
from studiolo.task.remote.sse import ServerEvent
from studiolo.task.remote.transport import Transport
from studiolo.task.remote.wire import Reader, TroubleError, Wire

PAUSE, LONGEST_PAUSE = 0.5, 8.0
"""Seconds before the first retry, doubled for each other, up to this."""
PATIENT = 60.0
"""Seconds beyond which an upstream's Retry-After is not waited for."""
T = TypeVar("T")
log = logging.getLogger("studiolo.remote")


class Upstream:
    """``name``: the model's here. ``headers``: what else every request shall bring.

    ``pause`` and ``draw`` (a number in [0, 1)): how retries wait, and by which chance.
    """

    def __init__(
        self,
        name: str,
        remote: Remote,
        key: str | None,
        *,
        headers: Callable[[], Mapping[str, str]] = dict,
        pause: Callable[[float], Awaitable[object]] = asyncio.sleep,
        draw: Callable[[], float] = random.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self.remote = name, remote
        self.breaker = Breaker(remote.breaker.failures, remote.breaker.seconds, clock)
        self._wire: Wire = OpenAIWire() if remote.dialect == "openai" else AnthropicWire()
        self._who = Cleaner(name, remote.url, key)
        self._pause, self._draw = pause, draw
        self._transport = Transport(remote, self._who, self._wire.headers(key), headers)

    async def aclose(self) -> None:
        """Let every connection go."""
        await self._transport.aclose()

    async def tell(self, ask: TextAsk) -> RemoteAnswer:
        """An answer whose first event is there.

        Raises :class:`FailedError` for what another upstream may do better, else what is wrong
        with the request.
        """
        path, body = self._wire.request(ask, self.remote)
        content, started = _spelled(body), time.perf_counter()

        async def begun() -> RemoteAnswer:
            reader = self._wire.reader(ask)
            answer = RemoteAnswer(self._told(path, content, reader), reader, len(content), started)
            try:
                await answer.begin()
            except BaseException:
                await answer.aclose()
                raise
            return answer

        return await self._tried(begun)

    async def post(self, path: str, body: Mapping[str, Any]) -> bytes:
        """The body of an answer that is no stream. Raises as :meth:`tell`."""
        content = _spelled(body)
        return await self._tried(lambda: self._transport.body(path, content))

    async def _tried(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """What ``attempt`` gives, tried again as often as the settings say."""
        tried = 0
        while True:
            if (seconds := self.breaker.wait()) > 0:
                raise of_resting(self.name, seconds)
            try:
                made = await attempt()
            except FailedError as failure:
                self._note(failure)
                pause = self._pause_of(tried, failure)
                if not failure.again or tried == self.remote.retries or pause > PATIENT:
                    raise
                tried += 1
                await self._pause(pause)
            except StudioloError:  # the request's own fault: the upstream is well
                self.breaker.succeeded()
                raise
            except BaseException:
                self.breaker.abandoned()
                raise
            else:
                self.breaker.succeeded()
                return made

    def _pause_of(self, tried: int, failure: FailedError) -> float:
        """Exponential, half of it by chance, so that those who failed together part ways."""
        pause = min(LONGEST_PAUSE, PAUSE * 2.0**tried) * (0.5 + self._draw() / 2)
        return max(pause, failure.after or 0.0)

    def _note(self, failure: FailedError) -> None:
        if failure.ill:
            self.breaker.failed()
        else:
            self.breaker.succeeded()
        log.warning("%s", failure.error.message)

    async def _told(self, path: str, content: bytes, reader: Reader) -> AsyncGenerator[Event, None]:
        """The events of one answer; of one that has begun, what fails is an error."""
        begun = False
        try:
            async with aclosing(self._transport.events(path, content)) as sent:
                async for each in sent:
                    for event in self._understood(reader, each):
                        begun = True
                        yield event
            if not reader.complete:
                raise failed(self.name, "broke off in its answer", again=True)
        except FailedError as failure:
            if not begun:
                raise
            self._note(failure)
            raise failure.error from None

    def _understood(self, reader: Reader, sent: ServerEvent) -> list[Event]:
        try:
            return reader.read(sent)
        except TroubleError as trouble:
            raise of_trouble(trouble, self._who) from None
        except UpstreamError as error:
            why = self._who.clean(error.message)
            raise failed(self.name, f"cannot be understood: {why}", again=True) from None


def _spelled(body: Mapping[str, Any]) -> bytes:
    return json.dumps(body, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace")
