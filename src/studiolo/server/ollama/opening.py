"""Opening a model before it is asked, and closing it when the answer is over.

Models stay open here until another needs the room, so ``keep_alive`` asks for nothing, but for 0:
that closes the model once its answer has been sent, unless others use it. It is everybody's model
that is closed, so a key must be one that may manage models.
"""

from __future__ import annotations

import asyncio
import contextlib
import time

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from studiolo.errors import BusyError
from studiolo.server.desk import Desk
from studiolo.server.ollama.names import seconds
from studiolo.task.house import House


def closes(desk: Desk, keep_alive: float | str | None) -> bool:
    """Whether the model is to be closed; raises :class:`PermissionDeniedError` if it may not be."""
    if keep_alive is None or seconds(keep_alive) != 0:
        return False
    desk.require("models:write")
    return True


async def opened(house: House, name: str) -> float | None:
    """Seconds it took until the model was open; None for one elsewhere."""
    if name in house.elsewhere:
        return None
    started = time.perf_counter()
    async with house.use(name):
        return time.perf_counter() - started


async def close(house: House, name: str) -> None:
    """Close the model, unless somebody uses it."""
    with contextlib.suppress(BusyError):
        await asyncio.to_thread(house.unload, name)


class Closing(Response):
    """``reply``, after which the model is closed."""

    def __init__(self, reply: Response, house: House, name: str) -> None:
        super().__init__(status_code=reply.status_code)
        self._reply, self._house, self._name = reply, house, name

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the reply."""
        try:
            await self._reply(scope, receive, send)
        finally:
            await close(self._house, self._name)
