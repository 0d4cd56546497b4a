"""The server at its socket, from the first request to the last.

Told to stop, it lets nobody in any more and waits for those under way; when their time is up the
engine is closed, which ends every stream with an event that says so, and every other request with
an error. Being told to stop is no accident: the process goes on, and can end well.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Generator

import uvicorn
from starlette.types import ASGIApp

from studiolo.server.app import build
from studiolo.server.connection import Config, Connection
from studiolo.server.settings import Settings
from studiolo.server.studio import Studio

LOOKS = 20
"""How often each connection is looked at while a slow client is waited for."""
GRACE = 5
"""Seconds that requests have to say that they are over, once the engine is closed."""


class Listening(uvicorn.Server):
    """Serves ``app``. ``ready(port)`` is called once requests can be answered."""

    def __init__(
        self, app: ASGIApp, settings: Settings, ready: Callable[[int], object] = lambda port: None
    ) -> None:
        super().__init__(
            Config(
                app,
                settings,
                loop="asyncio",
                lifespan="off",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,  # whoever asks through a proxy is not of this machine
                timeout_graceful_shutdown=int(settings.drain) + GRACE,
            )
        )
        self._settings, self._ready, self._looked = settings, ready, 0.0

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's, and say so."""
        await super().startup(sockets=sockets)
        self._ready(self.servers[0].sockets[0].getsockname()[1])

    async def on_tick(self, counter: int) -> bool:
        """As uvicorn's; several times a second."""
        now = asyncio.get_running_loop().time()
        if now - self._looked > self._settings.slow / LOOKS:
            self._looked = now
            for connection in list(self.server_state.connections):
                if isinstance(connection, Connection):
                    connection.look(now)
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn's, which raises them anew in the end; then nobody could end well."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            each: signal.signal(each, self.handle_exit) for each in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)


class Server(Listening):
    """Serves ``studio``, and carries out its batches."""

    def __init__(self, studio: Studio, ready: Callable[[int], object] = lambda port: None) -> None:
        super().__init__(build(studio), studio.settings, ready)
        self._studio = studio

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's."""
        await super().startup(sockets=sockets)
        self._studio.jobs.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As uvicorn's; requests that take longer than they may are ended, and told so."""
        loop, house = asyncio.get_running_loop(), self._studio.house
        end = loop.call_later(self._studio.settings.drain, loop.run_in_executor, None, house.close)
        try:
            await asyncio.gather(
                super().shutdown(sockets), asyncio.to_thread(self._studio.jobs.close)
            )
        finally:
            end.cancel()
