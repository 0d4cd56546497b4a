"""The door in front of replicas: each request goes to one, and to another if that one is lost.

A request of which nothing has come back yet is asked again, if asking twice does no harm; one that
has begun ends with an error as its dialect tells of one in the middle of a stream, and where what
has begun is no stream of one it is broken off, which every client notices. What may be under way is
bounded here as in each replica, since bodies are held until it is known whom to ask. Knows nothing
of what replicas are.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from studiolo.errors import BusyError, RequestCancelledError, StudioloError, TooLargeError
from studiolo.server.affinity import token_of
from studiolo.server.anthropic import ANTHROPIC
from studiolo.server.app import DIALECTS
from studiolo.server.bedrock import framing
from studiolo.server.bedrock.errors import failed
from studiolo.server.context import Context
from studiolo.server.dialects import Dialect, dialect_of
from studiolo.server.ollama.answers import NDJSON, written
from studiolo.server.replies import EVENTS, event, unless_gone
from studiolo.server.room import Room
from studiolo.server.settings import Settings

Ask = Callable[[str, dict[str, Any], bytes], AsyncGenerator[list[Message], None]]
"""Given a token, a scope and a body: what a replica answers, in messages of ASGI.

In the midst of it there is something, or nothing but a sign of life, every few seconds.
"""
TRIES = 3
PAUSE = 0.2
"""Seconds before another is asked, in which it becomes known who is lost."""
HEALTH = ("/live", "/ready", "/health")
PATIENCE, QUICK = 60.0, 5.0
"""Seconds to wait for a replica, and for whoever watches over the server."""
SILENCE = 30.0
"""Seconds without a sign of life after which a replica is taken for lost."""
CARRIED = (
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string"),
    *("root_path", "headers", "client", "server"),
)
"""What of a scope goes to another process."""
MANAGING = ("/studiolo/v1/keys", "/studiolo/v1/models", "/v1/files", "/v1/batches", "/v1/feedback")
"""Addresses at which asking twice may do something twice."""
log = logging.getLogger("studiolo.server")


class LostError(BusyError):
    """The replica that was to answer is gone, and no other is there yet."""

    status = 503

    def __init__(self) -> None:
        super().__init__(
            "what was to answer this is gone",
            remedy="Ask again: another is there, or soon will be.",
        )


class Forwarding:
    """An ASGI application; ``ask`` raises where a replica is lost, and for nothing else."""

    def __init__(self, ask: Ask, settings: Settings) -> None:
        self._ask, self._settings = ask, settings
        self._room = Room(settings.connections, max(settings.bodies, settings.max_body))
        self._working: set[asyncio.Task[None]] = set()
        self._over = False

    def end(self) -> None:
        """End what is under way, and say so."""
        self._over = True
        for each in self._working:
            each.cancel()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":  # a websocket: there are none
            await send({"type": "websocket.close", "code": 1008})
            return
        crowded = scope.get("state", {}).get("crowded", False)
        answer, place = _Answer(scope, send, last=crowded), None
        try:
            if crowded:
                raise BusyError(
                    "there are as many connections as there may be", remedy="Try again later."
                )
            place = self._room.enter("")
            body = await self._body(place.holding(receive))
            work = asyncio.ensure_future(self._answered(answer, body))
            self._working.add(work)
            work.add_done_callback(self._working.discard)
            await unless_gone(receive, work)
        except ClientDisconnect:
            return
        except StudioloError as error:
            await answer.refuse(error)
        except asyncio.CancelledError:
            if not self._over:
                raise
            await answer.refuse(RequestCancelledError("the server is stopping"))
        finally:
            if place is not None:
                place.leave()

    async def _answered(self, answer: _Answer, body: bytes) -> None:
        scope = answer.scope
        token = token_of(scope["headers"], body)
        carried = {name: scope[name] for name in CARRIED if name in scope}
        for left in range(TRIES - 1, -1, -1):
            try:
                async with aclosing(self._ask(token, carried, body)) as batches:
                    limit = QUICK if scope["path"] in HEALTH else PATIENCE
                    while not answer.ended:
                        async with asyncio.timeout(limit):
                            batch = await anext(batches)
                        limit = SILENCE
                        for message in batch:
                            await answer.send(message)
                return
            except Exception as error:
                log.info("a replica is lost: %s", type(error).__name__)
                waited = isinstance(error, TimeoutError)
                if answer.begun or not left or waited or not _may_repeat(scope):
                    break
            await asyncio.sleep(PAUSE)
        raise LostError

    async def _body(self, receive: Receive) -> bytes:
        parts, size, more, limit = [], 0, True, self._settings.max_body
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > limit:
                raise TooLargeError(
                    f"the body is larger than {limit:,} bytes",
                    remedy="Send less, or in several requests.",
                )
            more = message.get("more_body", False)
        return b"".join(parts)


class _Answer:
    """What has been sent of an answer, and how to end it. ``last``: nothing may follow it."""

    def __init__(self, scope: Scope, send: Send, *, last: bool) -> None:
        self.scope, self._send, self._last = scope, send, last
        self.begun = self.ended = False
        self._headers: dict[bytes, bytes] = {}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun, self._headers = True, dict(message["headers"])
        elif not message.get("more_body", False):
            self.ended = True
        await self._send(message)

    async def refuse(self, error: StudioloError) -> None:
        """Tell of ``error``; raises it where that cannot be told any more."""
        dialect = dialect_of(self.scope["path"], DIALECTS, Headers(scope=self.scope))
        context = Context(f"{self.scope['method'][:20]} ({dialect.name})", dialect.name)
        if self.begun:  # by the id that the replica has told
            told = (self._headers.get(name.encode(), b"") for name in dialect.headers(""))
            context.id = b"".join(told).decode("latin-1")
        context.failed(error)
        if not self.begun:
            refusal = dialect.refusal(error, context.id)
            refusal.headers.update(dialect.headers(context.id))
            if self._last:
                refusal.headers["connection"] = "close"
            await refusal(self.scope, _nothing, self._send)
            return
        piece = self._last_piece(error, dialect, context.id)
        if piece is None or self.ended:
            raise error
        await self._send({"type": "http.response.body", "body": piece, "more_body": False})

    def _last_piece(self, error: StudioloError, dialect: Dialect, id: str) -> bytes | None:
        """That of a stream which ``error`` ends; None for what is no stream of a dialect."""
        kind = self._headers.get(b"content-type", b"").decode("latin-1")
        if kind == EVENTS:
            return event(dialect.body(error, id), "error" if dialect is ANTHROPIC else None)
        if kind == NDJSON:
            return written(dialect.body(error, id))
        return failed(error) if kind == framing.MEDIA_TYPE else None


def _may_repeat(scope: Scope) -> bool:
    """Whether to ask twice is as good as once."""
    if scope["method"] == "POST":
        return not scope["path"].startswith(MANAGING)
    return scope["method"] in ("GET", "HEAD")


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
