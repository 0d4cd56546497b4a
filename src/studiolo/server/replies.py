"""Answers on their way to a client: JSON at once, or a stream that a slow reader cannot hold up.

A stream waits for its reader for so long and no longer; what fails in the middle of it is told by
an event of its dialect, since the status is sent already.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from pydantic_core import to_json
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

SLOW = 30.0
"""Seconds that a reader may leave a piece lying before it is given up."""
EVENTS = "text/event-stream; charset=utf-8"


class Json(Response):
    """A body in JSON."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """As UTF-8."""
        return to_json(content)


class Stream(Response):
    """Pieces as they come. ``close`` is called when the answer is over, however that came about.

    Raises :class:`ClientDisconnect` when the reader has gone, or takes too long.
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
        sending = asyncio.ensure_future(self._send(send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((sending, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not sending.done():
                raise ClientDisconnect
            sending.result()
        finally:
            for task in (sending, leaving):
                task.cancel()
            await asyncio.gather(sending, leaving, return_exceptions=True)
            await self._pieces.aclose()
            await self._close()

    async def _send(self, send: Send) -> None:
        async def patiently(message: Message) -> None:
            try:
                await asyncio.wait_for(send(message), SLOW)
            except (TimeoutError, OSError):
                raise ClientDisconnect from None

        start: Message = {
            "type": "http.response.start", "status": self.status_code, "headers": self.raw_headers,
        }  # fmt: skip
        await patiently(start)
        async for piece in self._pieces:
            await patiently({"type": "http.response.body", "body": piece, "more_body": True})
        await patiently({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def event(data: object, name: str | None = None) -> bytes:
    """A server-sent event. Source: WHATWG HTML, section 9.2."""
    head = b"" if name is None else b"event: " + name.encode() + b"\n"
    return head + b"data: " + (data if isinstance(data, bytes) else to_json(data)) + b"\n\n"


async def guarded(
    pieces: AsyncIterator[bytes], failed: Callable[[Exception], bytes]
) -> AsyncGenerator[bytes, None]:
    """``pieces``, and at a failure the last one, which tells of it."""
    try:
        async for piece in pieces:
            yield piece
    except Exception as error:
        yield failed(error)
