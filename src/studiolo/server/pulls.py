"""A model that is fetched for a client, told of as it comes.

What a client may name is the catalogue's, or the hub's: never a path, since a server reads no file
of its machine for a client, and never another address, since it calls none for one either. Each has
a thread of its own, for a pull may wait long. One that nobody waits for any more stops, and what
has arrived is kept for the next.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator

from studiolo.bundle import store
from studiolo.bundle.landing import PullEvent
from studiolo.bundle.pull import pull
from studiolo.errors import InvalidRequestError, RequestCancelledError


def pullable(what: str, field: str) -> str:
    """``what``, if a client may have it fetched; raises :class:`InvalidRequestError`."""
    if store.looks_like_path(what) or what.startswith(("http:", "https:")):
        raise InvalidRequestError(
            field,
            f"{what!r:.80} is neither a name of the catalogue nor hf:owner/name",
            remedy="`studiolo pull`, on the server's machine, takes paths and addresses.",
        )
    return what


class Pull:
    """Begins at once. Iterate once for what happens; :meth:`stop` lets it go.

    ``what``: as of :func:`pullable`. Iterating raises what :func:`studiolo.bundle.pull.pull` does.
    """

    def __init__(self, what: str) -> None:
        self._what, self._stopped = what, False
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[PullEvent | Exception | None] = asyncio.Queue()
        threading.Thread(target=self._work, name=f"pull-{what}", daemon=True).start()

    async def __aiter__(self) -> AsyncIterator[PullEvent]:
        """What happens, until the model is here."""
        try:
            while (event := await self._told.get()) is not None:
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            self.stop()

    def stop(self) -> None:
        """Fetch no more; harmless when it is all here."""
        self._stopped = True

    def _work(self) -> None:
        try:
            pull(self._what, report=self._report)
        except Exception as error:
            self._tell(error)
        else:
            self._tell(None)

    def _report(self, event: PullEvent) -> None:
        if self._stopped:
            raise RequestCancelledError(f"nobody waits for {self._what} any more")
        self._tell(event)

    def _tell(self, event: PullEvent | Exception | None) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._told.put_nowait, event)
