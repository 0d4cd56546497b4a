"""One connection: what is refused before it is a request, and whom nobody waits for any longer.

Notable choices. *A head is taken only if everybody on the way must have read it alike* (RFC 9112,
sections 2.2, 5.2, 6.1 and 6.3): bare line ends, folded lines, and a length told twice or beside
chunks are refused, since what one reader takes for the end of a request is the middle of it for
another. *Waiting is looked at, not timed*: every so often each connection is asked whether the
other side keeps it waiting and has done nothing since, which costs a request nothing. A reader
that takes nothing, a head or body that does not come, and a body that nobody wants are all given
up alike.

Does not know what is asked.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from studiolo.server.settings import Settings

MAX_HEAD = 32 << 10
"""Bytes of a request's line and headers."""
ABRUPT = 64
"""Connections above the limit that are still told so; those above are closed at once."""
_UNCLEAR = re.compile(rb"(?<!\r)\n|\r(?=[^\n])|\n[ \t]")
_FRAMING = re.compile(rb"^(content-length|transfer-encoding)[ \t]*:", re.IGNORECASE | re.MULTILINE)
log = logging.getLogger("studiolo.server")


class Config(uvicorn.Config):
    """uvicorn's, with what a connection goes by."""

    def __init__(self, app: Any, settings: Settings, **options: Any) -> None:
        super().__init__(app, http=Connection, ws="none", **options)
        self.settings = settings


class Strict(h11.Connection):
    """h11's, which refuses heads that can be read in more than one way."""

    def next_event(self) -> Any:
        """As h11's; raises :class:`h11.RemoteProtocolError`."""
        if self.their_state is h11.IDLE:
            data, _ = self.trailing_data
            check_head(data.partition(b"\r\n\r\n")[0])
        return super().next_event()


def check_head(head: bytes) -> None:
    """Raise :class:`h11.RemoteProtocolError` for a head, or its beginning, that is not clear."""
    if len(head) > MAX_HEAD:
        raise h11.RemoteProtocolError("the head is too long", error_status_hint=431)
    framing = [name.lower() for name in _FRAMING.findall(head)]
    old = head.partition(b"\r\n")[0].endswith(b"HTTP/1.0")
    if _UNCLEAR.search(head) or len(framing) > 1 or (old and b"transfer-encoding" in framing):
        raise h11.RemoteProtocolError("the head can be read in more than one way")


class Connection(H11Protocol):
    """uvicorn's over h11. ``config`` is a :class:`Config`."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        if not isinstance(config, Config):
            raise TypeError("a Connection needs a Config of this module")
        super().__init__(config, server_state, dict(app_state), _loop)
        self._settings = config.settings
        self.conn = Strict(h11.SERVER, MAX_HEAD)
        self._received = 0
        self._wait: tuple[object, ...] | None = None
        self._since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """As uvicorn's; one too many is marked, and told when it asks."""
        super().connection_made(transport)
        # Head and body are written one after the other, and the body shall not wait until the
        # client has acknowledged the head. asyncio sees to that only where it made the socket.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        over = len(self.connections) - self._settings.connections
        if over > ABRUPT:
            transport.abort()
        elif over > 0:
            self.app_state["crowded"] = True

    def data_received(self, data: bytes) -> None:
        """As uvicorn's."""
        self._received += len(data)
        super().data_received(data)

    def send_400_response(self, msg: str) -> None:
        """As uvicorn's, where an answer can still be sent."""
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            super().send_400_response(msg)
        else:
            self.transport.close()

    def look(self, now: float) -> None:
        """Give the other side up if it has kept us waiting too long; call it often.

        ``now``: seconds of a clock that never goes back.
        """
        wait = self._awaited()
        if wait is None or wait != self._wait:
            self._wait, self._since = wait, now
        elif now - self._since > self._settings.slow:
            log.info("given up: a client that kept us waiting for %s", wait[0])
            self.transport.abort()

    def _awaited(self) -> tuple[object, ...] | None:
        """What the other side is to do, and how much of it is done; None for nothing.

        A head is awaited as a whole, so that one that comes letter by letter is given up too; so
        is the rest of a body that was answered before its end.
        """
        left = self.transport.get_write_buffer_size()
        if left:
            return "what is sent to be taken", left
        if self.conn.their_state is h11.IDLE:
            return ("a head",)
        if self.conn.their_state is h11.SEND_BODY:
            if self.conn.our_state is h11.DONE:
                return ("the rest of a body",)
            return None if self.flow.read_paused else ("a body", self._received)
        return None
