"""Where every request comes in: it gets an id, it is asked whose it is, and its end is noted.

Notable choices. *Without keys, only this machine is let in*, and only by its own name: a page of
another origin, or a name that was made to point here (DNS rebinding), is refused. *With a key in
existence, every request needs one.* Plain ASGI, so that streams pass through untouched.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studiolo.errors import AuthenticationError, PermissionDeniedError, StudioloError
from studiolo.record.grant import Key
from studiolo.server.context import Caller, Context
from studiolo.server.dialects import Dialect, dialect_of
from studiolo.server.signing import held, signed, verified
from studiolo.server.studio import Studio

PUBLIC = ("/health", "/live", "/ready")
"""Addresses that tell nothing of anybody, and need no key."""
PAGE = ("/", "/studio/")
"""The page itself holds no secret; what it asks for needs a key."""
LOCAL = {"localhost", "127.0.0.1", "::1"}
GONE = 499
"""The status noted for a client that went away, as nginx has it."""
log = logging.getLogger("studiolo.server")


class Reception:
    """Wraps the application; ``dialects`` say how errors are told."""

    def __init__(self, app: ASGIApp, studio: Studio, dialects: Sequence[Dialect]) -> None:
        self._app, self._studio, self._dialects = app, studio, dialects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        dialect = dialect_of(path, self._dialects)
        context = Context(f"{scope['method']} {path[:200]}", dialect.name)
        scope["studiolo"] = context
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun, context.status = True, message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in dialect.headers(context.id).items():
                    headers[name] = value
            await send(message)

        try:
            if path not in PUBLIC:
                context.caller, receive = await self._caller(scope, receive, path)
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            context.status, context.error = GONE, "ClientDisconnect"
        except Exception as error:  # in the middle of an answer, or a fault of ours
            context.error = type(error).__name__
            if not isinstance(error, StudioloError):
                log.exception("%s: %s failed", context.id, context.endpoint)
            if not begun:
                await dialect.refusal(error, context.id)(scope, receive, sending)
        finally:
            if path not in PUBLIC and not path.startswith("/studio/"):
                self._studio.records.ledger.note(context.entry())

    async def _caller(self, scope: Scope, receive: Receive, path: str) -> tuple[Caller, Receive]:
        """Who asks, and what gives the body, which a signature covers."""
        headers = Headers(scope=scope)
        keys = self._studio.records.keys
        if not await asyncio.to_thread(keys.any):
            self._check_local(headers)
            return Caller(), receive
        if path == PAGE[0] or path.startswith(PAGE[1]):
            return Caller(), receive
        if signed(headers):
            body, receive = await held(receive, headers, self._studio.settings.max_body)
            signer = await asyncio.to_thread(verified, scope, body, keys.find_aws, time.time())
            return Caller(signer), receive
        key = await asyncio.to_thread(self._key, headers, scope)
        if key is None:
            raise AuthenticationError(
                "no key, or none that is known here",
                remedy="Send `Authorization: Bearer KEY` (or `x-api-key: KEY`); "
                "`studiolo keys create` makes one.",
            )
        return Caller(key), receive

    def _key(self, headers: Headers, scope: Scope) -> Key | None:
        keys = self._studio.records.keys
        authorization = headers.get("authorization", "")
        kind, _, rest = authorization.partition(" ")
        if kind.lower() == "bearer":
            return keys.find(rest.strip())
        given = headers.get("x-api-key")
        return None if given is None else keys.find(given)

    def _check_local(self, headers: Headers) -> None:
        """Raise :class:`PermissionDeniedError` for what a page elsewhere made a browser send."""
        if self._studio.settings.open_:
            return
        host = urlsplit(f"//{headers.get('host', '')}")
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc != host.netloc
        if host.hostname not in LOCAL or foreign:
            raise PermissionDeniedError(
                "without keys only programs and pages of this machine are let in",
                remedy="Ask at http://127.0.0.1, or make a key: `studiolo keys create`.",
            )
