"""A model that is fetched for a client, told of as it comes.

What a client may name is the catalogue's, or the hub's: never a path, since a server reads no file
of its machine for a client, and never another address, since it calls none for one either. One that
nobody waits for any more stops, and what has arrived is kept for the next.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from studiolo.bundle import address
from studiolo.bundle.landing import Progress, PullEvent
from studiolo.bundle.pull import pull
from studiolo.bundle.store import Bundle
from studiolo.errors import BusyError, InvalidRequestError, RequestCancelledError
from studiolo.server.management.apart import apart

AT_ONCE = 2
"""Pulls under way, beyond which another is asked to come back."""
LATER = 30.0
OFTEN = 0.2
"""Seconds between two events that tell of progress."""


class Pulls:
    """Those of one server. ``under_way`` counts them."""

    def __init__(self) -> None:
        self.under_way = 0


def pullable(what: str, field: str) -> str:
    """``what``, if a client may have it fetched; raises :class:`InvalidRequestError`."""
    if not address.is_name(what) and not what.startswith("hf:"):
        raise InvalidRequestError(
            field,
            f"{what!r:.80} is neither a name of the catalogue nor hf:owner/name",
            remedy="Files and addresses are pulled with `studiolo pull`, on the machine itself.",
        )
    return what


class Pull:
    """Begins at once, unless ``pulls`` are too many, which raises :class:`BusyError`.

    ``what``: as of :func:`pullable`; ``name``: what to call it here. Iterate once for what happens
    until the model is here, which raises what :func:`studiolo.bundle.pull.pull` does; ending that
    lets the pull go. ``bundle`` is there afterwards.
    """

    def __init__(
        self, what: str, pulls: Pulls, *, name: str | None = None, accept_licence: bool = False
    ) -> None:
        if pulls.under_way >= AT_ONCE:
            raise BusyError(
                f"{pulls.under_way} models are being pulled already, and no more may be",
                remedy="Try again when one of them is here.",
                retry_after=LATER,
            )
        pulls.under_way += 1
        self._what, self._name, self._accepted = what, name, accept_licence
        self._pulls, self._stopped, self._last = pulls, False, 0.0
        self._loop = asyncio.get_running_loop()
        self._told: asyncio.Queue[PullEvent | None] = asyncio.Queue()
        self._working = asyncio.ensure_future(apart(self._run, "studiolo-pull"))
        self._working.add_done_callback(self._over)

    async def __aiter__(self) -> AsyncIterator[PullEvent]:
        """What happens."""
        try:
            while (event := await self._told.get()) is not None:
                yield event
            await self._working
        finally:
            self.stop()

    @property
    def bundle(self) -> Bundle:
        """What is here now."""
        return self._working.result()

    def stop(self) -> None:
        """Fetch no more; harmless when it is all here."""
        self._stopped = True

    def _run(self) -> Bundle:
        """In a thread of its own."""
        return pull(self._what, name=self._name, accept_licence=self._accepted, report=self._report)

    def _report(self, event: PullEvent) -> None:
        if self._stopped:
            raise RequestCancelledError(f"nobody waits for {self._what} any more")
        now = time.monotonic()
        if isinstance(event, Progress) and event.done != event.total and now - self._last < OFTEN:
            return
        self._last = now
        self._loop.call_soon_threadsafe(self._told.put_nowait, event)

    def _over(self, working: asyncio.Future[Bundle]) -> None:
        if not working.cancelled():
            working.exception()  # seen, if only by whoever has left
        self._pulls.under_way -= 1
        self._told.put_nowait(None)
