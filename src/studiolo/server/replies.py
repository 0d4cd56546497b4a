"""Answers on their way to a client: JSON at once, or a stream of pieces.

What fails in the middle of a stream is told by an event of its dialect, since the status is sent
already. A reader that takes nothing for long is given up by its :class:`Connection`, and has then
gone for whoever answers it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, aclosing, nullcontext
from typing import Any, TypeVar

from pydantic_core import to_json
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

T = TypeVar("T")
EVENTS = "text/event-stream; charset=utf-8"
_LINE_ENDS = tuple((each.encode(), f"\\u{ord(each):04x}".encode()) for each in "\x85\u2028\u2029")


class Json(Response):
    """A body in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """As UTF-8."""
        return to_json(content)


class Stream(Response):
    """Pieces as they come. ``close`` is called when the answer is over, however that came about.

    Raises :class:`ClientDisconnect` when the reader has gone.
    """

    def __init__(
        self,
        pieces: AsyncGenerator[bytes, None],
        close: Callable[[], Awaitable[object]],
        media_type: str = EVENTS,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self._pieces, self._close = pieces, close
        # Nobody on the way should hold pieces back.
        given = {"cache-control": "no-store", "x-accel-buffering": "no", **(headers or {})}
        super().__init__(media_type=media_type, headers=given)
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the pieces."""
        async with AsyncExitStack() as ending:
            ending.push_async_callback(self._close)
            ending.push_async_callback(self._pieces.aclose)
            await unless_gone(receive, self._send(send))

    async def _send(self, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        async for piece in self._pieces:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def unless_gone(receive: Receive, work: Awaitable[T]) -> T:
    """What ``work`` gives; cancelled when the client goes away.

    Then raises :class:`ClientDisconnect`. What the client still sends is thrown away, so a body
    is to be read before.
    """
    task, gone = asyncio.ensure_future(work), asyncio.ensure_future(_gone(receive))
    try:
        await asyncio.wait((task, gone), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        raise ClientDisconnect
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.gather(task, gone, return_exceptions=True)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def event(data: object, name: str | None = None) -> bytes:
    """A server-sent event. Source: WHATWG HTML, section 9.2."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + (data if isinstance(data, bytes) else line(data)) + b"\n\n"


def line(data: object) -> bytes:
    """``data`` in JSON, which is one line for everybody.

    Some clients end a line wherever Unicode does, so what does is escaped.
    """
    text = to_json(data)
    for character, escaped in _LINE_ENDS:
        text = text.replace(character, escaped)
    return text


async def guarded(
    pieces: AsyncIterator[bytes], failed: Callable[[Exception], bytes]
) -> AsyncGenerator[bytes, None]:
    """``pieces``, and at a failure the last one, which tells of it."""
    async with ending(pieces):
        try:
            async for piece in pieces:
                yield piece
        except Exception as error:
            yield failed(error)


def ending(pieces: AsyncIterator[T]) -> AbstractAsyncContextManager[object]:
    """Ends ``pieces`` on the way out, now and not when somebody collects the garbage."""
    return aclosing(pieces) if isinstance(pieces, AsyncGenerator) else nullcontext()
