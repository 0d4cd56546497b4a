"""An answer from elsewhere has its time, as one from here has. Knows nothing of who answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import TypeVar

from studiolo.errors import DeadlineError
from studiolo.task.asking import Answer, Event, Relay

T = TypeVar("T")


@asynccontextmanager
async def in_time(
    telling: AbstractAsyncContextManager[Answer], timeout: float | None
) -> AsyncIterator[Answer]:
    """The answer of ``telling``, which raises :class:`DeadlineError` after ``timeout`` seconds."""
    due = None if timeout is None else asyncio.get_running_loop().time() + timeout
    async with AsyncExitStack() as held:
        yield _Timed(await _by(due, held.enter_async_context(telling)), due)


async def done_in_time(work: Awaitable[T], timeout: float | None) -> T:
    """What ``work`` gives; raises :class:`DeadlineError` after ``timeout`` seconds."""
    due = None if timeout is None else asyncio.get_running_loop().time() + timeout
    return await _by(due, work)


class _Timed(Relay):
    """As ``answer``, up to ``due`` by the clock of the event loop."""

    def __init__(self, answer: Answer, due: float | None) -> None:
        super().__init__(answer)
        self._due = due

    async def __aiter__(self) -> AsyncIterator[Event]:
        events = aiter(self._answer)
        while (event := await _by(self._due, anext(events, None))) is not None:
            yield event


async def _by(due: float | None, work: Awaitable[T]) -> T:
    try:
        async with asyncio.timeout_at(due):
            return await work
    except TimeoutError:
        raise DeadlineError("the request's time ran out before it was done") from None
