"""Where every request comes in: it gets an id, it is asked whose it is, and its end is noted.

Notable choices. *Without keys, only this machine is let in*, and only by its own name: who asks
from another machine or through a proxy, a page of another origin, or a name that was made to point
here (DNS rebinding), is refused. *With a key in existence, every request needs one*, and the page,
which holds no secret, is shown to strangers. Plain ASGI, so that streams pass through untouched.
"""

from __future__ import annotations

import asyncio
import ipaddress
import re
import time
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from studiolo.errors import AuthenticationError, BusyError, PermissionDeniedError
from studiolo.record.grant import Key
from studiolo.server.context import NO_KEY, Caller, Context
from studiolo.server.dialects import Dialect, dialect_of
from studiolo.server.room import STRANGER
from studiolo.server.signing import held, signed, verified
from studiolo.server.studio import Studio

PUBLIC = ("/health", "/live", "/ready")
"""Addresses that tell nothing of anybody, and need no key."""
PAGE = ("/", "/studio/")
"""The page itself holds no secret; what it asks for needs a key."""
GONE = 499
"""The status noted for a client that went away, as nginx has it."""
FORWARDED = ("forwarded", "x-forwarded-for", "x-real-ip")
"""By which a proxy says that it asks for somebody else."""
ALWAYS = {
    "x-content-type-options": "nosniff",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Headers of every answer that does not say otherwise."""
MAX_PATH = 200
"""Characters that are kept of an address that is none."""
_HOST = re.compile(r"(localhost|[0-9.]+|\[[0-9a-f:.]+\])(:[0-9]{1,5})?", re.ASCII | re.IGNORECASE)


class Reception:
    """Wraps the application; ``dialects`` say how errors are told."""

    def __init__(self, app: ASGIApp, studio: Studio, dialects: Sequence[Dialect]) -> None:
        self._app, self._studio, self._dialects = app, studio, dialects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "websocket":  # there are none, and nobody would have been asked
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        path: str = scope["path"]
        dialect = dialect_of(path, self._dialects, Headers(scope=scope))
        context = Context(_address(scope), dialect.name)
        scope["studiolo"] = context
        begun = False

        async def sending(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun, context.status = True, message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in dialect.headers(context.id).items():
                    headers[name] = value
                for name, value in ALWAYS.items():
                    headers.setdefault(name, value)
                if crowded:
                    headers["connection"] = "close"
            await send(message)

        crowded = scope.get("state", {}).get("crowded", False)
        try:
            if crowded:
                raise BusyError(
                    "there are as many connections as there may be", remedy="Try again later."
                )
            if path not in PUBLIC:
                receive = await self._let_in(scope, receive, context)
            await self._app(scope, receive, sending)
        except ClientDisconnect:
            context.status, context.error = GONE, "ClientDisconnect"
        except asyncio.CancelledError:
            context.error = "CancelledError"
            raise
        except Exception as error:  # in the middle of an answer, or a fault of ours
            context.failed(error)
            if not begun:
                await dialect.refusal(error, context.id)(scope, receive, sending)
        finally:
            if context.place is not None:
                context.place.leave()
            if path not in PUBLIC and not path.startswith(PAGE[1]):
                context.endpoint = _address(scope)
                self._studio.records.ledger.note(context.entry())

    async def _let_in(self, scope: Scope, receive: Receive, context: Context) -> Receive:
        """Find out who asks and give them a place; what gives the body, which may be read now.

        Raises :class:`AuthenticationError`, :class:`PermissionDeniedError`, :class:`BusyError`.
        """
        headers, path = Headers(scope=scope), scope["path"]
        keys, room = self._studio.records.keys, self._studio.room
        if not (keys.any() if keys.remembers() else await asyncio.to_thread(keys.any)):
            if not self._studio.settings.open_:
                _check_local(scope, headers)
            context.place = room.enter("")
            return receive
        if path == PAGE[0] or path.startswith(PAGE[1]):
            context.caller = Caller(stranger=True)
            return receive
        if signed(headers):  # the signature covers the body
            context.place = room.enter(STRANGER)
            kept = context.place.holding(receive)
            body, receive = await held(kept, headers, self._studio.settings.max_body)
            key = await asyncio.to_thread(verified, scope, body, keys.find_aws, time.time())
            context.place.leave()
            context.place = None
        else:
            found = await self._found(_secret(headers))
            if found is None:
                raise AuthenticationError("no key, or none that is known here", remedy=NO_KEY)
            key = found
        context.caller = Caller(key)
        context.place = room.enter(key.id)
        return receive

    async def _found(self, secret: str) -> Key | None:
        keys = self._studio.records.keys
        if keys.remembers(secret):  # another thread would cost more than looking
            return keys.find(secret)
        return await asyncio.to_thread(keys.find, secret)


def _secret(headers: Headers) -> str:
    """What a request shows as its key; empty if nothing."""
    kind, _, rest = headers.get("authorization", "").partition(" ")
    return rest.strip() if kind.lower() == "bearer" else headers.get("x-api-key", "")


def _address(scope: Scope) -> str:
    """Method and address: that of the route, in which an id is ``{id}``, once it is found."""
    route = getattr(scope.get("route"), "path", None)
    path = scope["path"] if route is None else route
    text = f"{scope['method'][:20]} {path[:MAX_PATH]}"
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)


def _check_local(scope: Scope, headers: Headers) -> None:
    """Raise :class:`PermissionDeniedError` for what did not begin on this machine."""
    client, host = scope.get("client"), headers.get("host", "")
    origin, site = headers.get("origin"), headers.get("sec-fetch-site", "none")
    if (
        (client is not None and not _is_loopback(client[0]))
        or any(name in headers for name in FORWARDED)
        or not _names_this(host)
        or (origin is not None and origin.lower() != f"{scope['scheme']}://{host.lower()}")
        or (site not in ("none", "same-origin") and headers.get("sec-fetch-mode") != "navigate")
    ):
        raise PermissionDeniedError(
            "without keys only programs and pages of this machine are let in",
            remedy="Ask at http://127.0.0.1, or make a key: `studiolo keys create`.",
        )


def _names_this(host: str) -> bool:
    """Whether a ``Host`` is one that nobody else can make point here."""
    found = _HOST.fullmatch(host)
    return found is not None and (found[1].lower() == "localhost" or _is_loopback(found[1]))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address.strip("[]")).is_loopback
    except ValueError:
        return False
