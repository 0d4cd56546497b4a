"""What whoever asks gets at once: events as they come, and the sample in the end.

One implementation for threads and for asyncio: an event is put down under a lock, and whoever
waits is woken, the one by a condition, the other through its own event loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import Any, Generic, Self, TypeVar, cast

S = TypeVar("S")


class Ticket(Generic[S]):
    """A request that is being worked on. Iterate, or iterate asynchronously, for its events.

    :meth:`result`, or ``await``, gives the sample. Both raise the error that ended the request.
    Leaving a ``with`` block cancels what is not done by then. Events are kept, so that everyone
    who iterates sees all of them.
    """

    def __init__(self, cancel: Callable[[], None], over: Callable[[], None]) -> None:
        self._cancel, self._over = cancel, over
        self._events: list[Any] = []
        self._done = False
        self._sample: Any = None
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._wakers: list[Callable[[], None]] = []

    @property
    def done(self) -> bool:
        """Whether the request has ended, well or not."""
        return self._done

    def cancel(self) -> None:
        """Work on it no more after the step that is being taken; harmless when it is done."""
        self._cancel()

    def result(self, timeout: float | None = None) -> S:
        """Wait for the sample. Raises what ended the request, or :class:`TimeoutError`."""
        with self._changed:
            if not self._changed.wait_for(lambda: self._done, timeout):
                raise TimeoutError(f"there is no sample after {timeout} seconds; it is still made")
        return self._outcome()

    def __iter__(self) -> Iterator[Any]:
        seen = 0
        while True:
            with self._changed:
                self._changed.wait_for(partial(self._ready, seen))
            if seen == len(self._events):
                self._outcome()
                return
            yield self._events[seen]
            seen += 1

    async def __aiter__(self) -> AsyncIterator[Any]:
        seen = 0
        while True:
            await self._wait(partial(self._ready, seen))
            if seen == len(self._events):
                self._outcome()
                return
            yield self._events[seen]
            seen += 1

    def __await__(self) -> Generator[Any, None, S]:
        yield from self._wait(lambda: self._done).__await__()
        return self._outcome()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.cancel()

    def event(self, item: object) -> None:
        """As :meth:`Sink.event`."""
        with self._changed:
            self._events.append(item)
            self._wake()

    def end(self, sample: object, error: Exception | None) -> None:
        """As :meth:`Sink.end`."""
        self._over()
        with self._changed:
            self._sample, self._error, self._done = sample, error, True
            self._wake()

    def _ready(self, seen: int) -> bool:
        return self._done or len(self._events) > seen

    def _outcome(self) -> S:
        if self._error is not None:
            raise self._error
        return cast("S", self._sample)

    def _wake(self) -> None:
        self._changed.notify_all()
        for wake in self._wakers:
            with suppress(RuntimeError):  # its event loop is closed: nobody waits there
                wake()

    async def _wait(self, ready: Callable[[], bool]) -> None:
        loop, flag = asyncio.get_running_loop(), asyncio.Event()

        def wake() -> None:
            loop.call_soon_threadsafe(flag.set)

        with self._changed:
            if ready():
                return
            self._wakers.append(wake)
        try:
            while not ready():
                await flag.wait()
                flag.clear()
        finally:
            with self._changed:
                self._wakers.remove(wake)
