"""The door in front of replicas: each request goes to one, and to another if that one is lost.

A request of which nothing has come back yet is asked again, if asking twice does no harm; one that
has begun ends with an error in its dialect's shape where it is a stream of events, and is broken
off where it is anything else, which every client notices. Knows nothing of what replicas are.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from studiolo.errors import StudioloError, TooLargeError
from studiolo.server.affinity import token_of
from studiolo.server.app import DIALECTS
from studiolo.server.dialects import dialect_of
from studiolo.server.replies import EVENTS, event, unless_gone

Ask = Callable[[str, dict[str, Any], bytes], AsyncGenerator[list[Message], None]]
"""Given a token, a scope and a body: what a replica answers, in messages of ASGI."""
TRIES = 3
LARGEST = 512 << 20
"""Bytes of a body; a replica has limits of its own."""
CARRIED = (
    *("type", "asgi", "http_version", "method", "scheme", "path", "raw_path", "query_string"),
    *("root_path", "headers", "client", "server"),
)
"""What of a scope goes to another process."""
MANAGING = ("/studiolo/v1/keys", "/studiolo/v1/models", "/v1/files", "/v1/batches", "/api/")
"""Addresses at which asking twice may do something twice."""
log = logging.getLogger("studiolo.server")


class LostError(StudioloError):
    """The replica that was to answer is gone."""

    status = 503


class Forwarding:
    """An ASGI application; ``ask`` raises where a replica is lost, and for nothing else."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "lifespan":
            await _live(receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return
        answer = _Answer(scope, send)
        try:
            body = await _body(receive)
            await unless_gone(receive, self._answered(answer, body))
        except ClientDisconnect:
            return
        except StudioloError as error:
            await answer.refuse(error)

    async def _answered(self, answer: _Answer, body: bytes) -> None:
        scope = answer.scope
        token, carried = (
            token_of(scope["headers"], body),
            {n: scope[n] for n in CARRIED if n in scope},
        )
        for left in range(TRIES - 1, -1, -1):
            try:
                async with aclosing(self._ask(token, carried, body)) as batches:
                    async for batch in batches:
                        for message in batch:
                            await answer.send(message)
                return
            except Exception as error:
                log.warning("a replica is lost: %s", type(error).__name__)
                if answer.begun or not left or not _may_repeat(scope):
                    break
        await answer.refuse(
            LostError("what was to answer this is gone", remedy="Ask again: others are there.")
        )


class _Answer:
    """What has been sent of an answer, and how to end it."""

    def __init__(self, scope: Scope, send: Send) -> None:
        self.scope, self._send = scope, send
        self.begun = False
        self._headers: dict[bytes, bytes] = {}

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.begun, self._headers = True, dict(message["headers"])
        await self._send(message)

    async def refuse(self, error: StudioloError) -> None:
        """Tell of ``error``; raises it where that cannot be told any more."""
        dialect = dialect_of(self.scope["path"], DIALECTS)
        if not self.begun:
            refusal = dialect.refusal(error, "")
            await refusal(self.scope, _nothing, self._send)
            return
        if self._headers.get(b"content-type", b"").decode("latin-1") != EVENTS:
            raise error
        id = self._headers.get(b"x-request-id", self._headers.get(b"request-id", b""))
        told = event(dialect.body(error, id.decode("latin-1")))
        await self._send({"type": "http.response.body", "body": told, "more_body": False})


def _may_repeat(scope: Scope) -> bool:
    """Whether to ask twice is as good as once."""
    return scope["method"] in ("GET", "HEAD") or not scope["path"].startswith(MANAGING)


async def _body(receive: Receive) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST:
            raise TooLargeError(f"the body is larger than {LARGEST:,} bytes")
        more = message.get("more_body", False)
    return b"".join(parts)


async def _live(receive: Receive, send: Send) -> None:
    while True:
        kind = (await receive())["type"]
        await send({"type": f"{kind}.complete"})
        if kind == "lifespan.shutdown":
            return


async def _nothing() -> Message:
    return {"type": "http.disconnect"}
