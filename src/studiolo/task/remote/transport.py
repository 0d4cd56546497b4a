"""HTTP to one upstream: a request, and the events or the body that come back, each in its time.

Notable choices. *Time is counted between events*, so that a server that sends comments and says
nothing is given up. *Redirects are not followed*: an address comes from the operator alone.
Leaving a response closes its connection, which has the upstream stop. Tries nothing twice but what
a connection that was kept for too long did not carry.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import version
from typing import NamedTuple

import httpx

from studiolo.errors import BusyError, UpstreamError
from studiolo.task.remote.failure import Cleaner, FailedError, failed, of_silence, of_status
from studiolo.task.remote.settings import Remote
from studiolo.task.remote.sse import EventReader, ServerEvent

CONNECTIONS = 512
LARGEST_ERROR = 64 << 10
LARGEST_ANSWER = 256 << 20
"""Bytes that are read of an error, and of an answer that is no stream."""


class _Client(NamedTuple):
    client: httpx.AsyncClient
    life: AsyncGenerator[None, None]


class Transport:
    """``fixed``: headers of every request; ``headers`` gives more of them each time."""

    def __init__(
        self,
        remote: Remote,
        who: Cleaner,
        fixed: Mapping[str, str],
        headers: Callable[[], Mapping[str, str]],
    ) -> None:
        self._url, self._patience, self._who = remote.url, remote.timeout, who
        self._fixed, self._headers = fixed, headers
        self._clients: dict[asyncio.AbstractEventLoop, _Client] = {}

    async def aclose(self) -> None:
        """Let every connection of this event loop go; without this, its end does."""
        if (made := self._clients.get(asyncio.get_running_loop())) is not None:
            await made.life.aclose()

    async def events(self, path: str, content: bytes) -> AsyncGenerator[ServerEvent, None]:
        """The events that come of a request. Raises :class:`FailedError`, and what is the
        request's own fault.
        """
        async with self._asked(path, content) as response:
            if not response.headers.get("content-type", "").startswith("text/event-stream"):
                raise failed(self._who.name, "did not stream")
            async with aclosing(self._streamed(response)) as events:
                async for event in events:
                    yield event

    async def body(self, path: str, content: bytes) -> bytes:
        """The whole that comes of a request; raises as :meth:`events`."""
        async with self._asked(path, content) as response:
            try:
                async with asyncio.timeout(self._patience.first):
                    return await self._read(response, LARGEST_ANSWER)
            except TimeoutError:
                raise of_silence(self._who.name, self._patience.first) from None

    async def _streamed(self, response: httpx.Response) -> AsyncGenerator[ServerEvent, None]:
        reader, patience = EventReader(), self._patience.first
        clock = asyncio.get_running_loop().time
        due = clock() + patience
        async with aclosing(response.aiter_bytes()) as pieces:  # type: ignore[type-var]
            while True:
                try:
                    async with asyncio.timeout_at(due):
                        piece = await anext(pieces, None)
                    if piece is None:
                        return
                    found = reader.push(piece)
                except TimeoutError:
                    raise of_silence(self._who.name, patience) from None
                except httpx.HTTPError as error:
                    raise self._unreachable(error) from None
                except UpstreamError as error:
                    raise failed(self._who.name, f"cannot be understood: {error.message}") from None
                for event in found:
                    yield event
                if found:  # and whoever reads has asked for more
                    patience = self._patience.between
                    due = clock() + patience

    @asynccontextmanager
    async def _asked(self, path: str, content: bytes) -> AsyncIterator[httpx.Response]:
        """The response to a request that is let in; closed at the end."""
        client = await self._client()
        request = client.build_request(
            "POST",
            f"{self._url}{path}",
            content=content,
            headers={"content-type": "application/json", **self._headers()},
        )
        try:
            async with asyncio.timeout(self._patience.first):
                try:
                    response = await client.send(request, stream=True)
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
                    # Most likely a connection that was kept, and hung up on meanwhile.
                    response = await client.send(request, stream=True)
        except TimeoutError:
            raise of_silence(self._who.name, self._patience.first) from None
        except httpx.PoolTimeout:
            busy = BusyError(f"too many requests to {self._who.name}, elsewhere, are under way")
            raise FailedError(busy, ill=False) from None
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        try:
            if response.status_code != 200:
                said = await self._error(response)
                raise of_status(response.status_code, response.headers, said, self._who)
            yield response
        finally:
            await response.aclose()

    async def _client(self) -> httpx.AsyncClient:
        """That of the running event loop: its connections are of no use in another."""
        loop = asyncio.get_running_loop()
        if (made := self._clients.get(loop)) is None:
            connect = self._patience.connect
            client = httpx.AsyncClient(
                headers={"user-agent": f"studiolo/{version('studiolo')}", **self._fixed},
                # Silence is noticed by event; how long it takes to write depends on the request.
                timeout=httpx.Timeout(None, connect=connect, pool=connect),
                limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=32),
                follow_redirects=False,
            )
            made = self._clients[loop] = _Client(client, self._alive(loop, client))
            await anext(made.life)
        return made.client

    async def _alive(
        self, loop: asyncio.AbstractEventLoop, client: httpx.AsyncClient
    ) -> AsyncGenerator[None, None]:
        """Waits to be closed, as a loop's end closes every generator, and closes ``client``."""
        try:
            yield
        finally:
            del self._clients[loop]
            await client.aclose()

    async def _error(self, response: httpx.Response) -> bytes:
        try:
            async with asyncio.timeout(self._patience.between):
                return await self._read(response, LARGEST_ERROR)
        except (TimeoutError, FailedError):
            return b""  # the status says enough

    async def _read(self, response: httpx.Response, limit: int) -> bytes:
        parts, size = [], 0
        try:
            async for part in response.aiter_bytes():
                parts.append(part)
                size += len(part)
                if size > limit:
                    raise failed(self._who.name, f"sent more than {limit:,} bytes")
        except httpx.HTTPError as error:
            raise self._unreachable(error) from None
        return b"".join(parts)

    def _unreachable(self, error: httpx.HTTPError) -> FailedError:
        return failed(self._who.name, f"cannot be reached ({type(error).__name__})", again=True)
