"""Pulling a model over HTTP: from the catalogue or the hub, told as it goes on.

Server-sent events, each JSON: ``{"status": "note", "text"}``, ``{"status": "progress", "name",
"done", "total"}`` in bytes, and last ``{"status": "done", "model"}`` or ``{"error"}`` in OpenAI's
shape. What is refused is refused before the first of them. A client that leaves stops the pull;
what has arrived is kept, and the next pull goes on from there.

A path or a web address is never pulled: the one would read this machine's disk, the other its
network.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from studiolo.bundle import address
from studiolo.bundle.landing import Note, Progress, PullEvent
from studiolo.bundle.manifest import checked_name
from studiolo.bundle.pull import pull
from studiolo.errors import (
    BusyError,
    ConflictError,
    InvalidRequestError,
    LicenceNotAcceptedError,
    RequestCancelledError,
    SourceError,
    UpstreamError,
)
from studiolo.server.desk import Desk
from studiolo.server.management.apart import apart
from studiolo.server.management.models import allow, told
from studiolo.server.replies import Stream, event, guarded
from studiolo.server.schema import takes
from studiolo.task.openai.errors import body_of
from studiolo.task.openai.fields import Body, Name, parse

router = APIRouter(tags=["Studiolo"])
AT_ONCE = 2
"""Pulls under way, beyond which another is asked to come back."""
LATER = 30.0
OFTEN = 0.2
"""Seconds between two events that tell of progress."""


class PullBody(Body):
    """``model``: a name of the catalogue, ``hf:owner/name`` or ``hf:owner/name/file.gguf``."""

    model: Name
    name: Name | None = Field(None, description="What to call it here; not for the catalogue's.")
    accept_licence: bool = False


class Pulls:
    """Those of one server. ``under_way`` counts them."""

    def __init__(self) -> None:
        self.under_way = 0


class _Pull:
    """One pull: what it tells, and whether it is to stop."""

    def __init__(self, body: PullBody) -> None:
        self._body, self._loop = body, asyncio.get_running_loop()
        self.told: asyncio.Queue[PullEvent | None] = asyncio.Queue()
        self.stopped, self._last = False, 0.0

    def run(self) -> str:
        """In a thread of its own; gives the name of what is here now."""
        body = self._body
        try:
            bundle = pull(
                body.model,
                name=body.name,
                accept_licence=body.accept_licence,
                report=self._report,
            )
        except LicenceNotAcceptedError as error:
            raise ConflictError(error.message, remedy="Accept them with accept_licence.") from None
        except SourceError as error:
            raise UpstreamError(error.message, remedy=error.remedy) from None
        return bundle.name

    def _report(self, told: PullEvent) -> None:
        if self.stopped:
            raise RequestCancelledError("the pull was stopped")
        now = time.monotonic()
        if isinstance(told, Progress) and told.done != told.total and now - self._last < OFTEN:
            return
        self._last = now
        self._loop.call_soon_threadsafe(self.told.put_nowait, told)


@router.post("/studiolo/v1/models/pull", openapi_extra=takes(PullBody))
async def pull_model(request: Request) -> Response:
    """Fetch a model."""
    desk = Desk(request)
    desk.require("models:write")
    body = parse(PullBody, await desk.body())
    allow(desk, _name(body))
    pulls: Pulls = request.app.state.pulls
    if pulls.under_way >= AT_ONCE:
        raise BusyError(
            f"{pulls.under_way} models are being pulled already, and no more may be",
            remedy="Try again when one of them is here.",
            retry_after=LATER,
        )
    under_way = _Pull(body)
    pulls.under_way += 1
    working = asyncio.ensure_future(apart(under_way.run, "studiolo-pull"))
    working.add_done_callback(lambda done: _over(pulls, under_way, done))

    async def close() -> None:
        under_way.stopped = True

    try:
        first = await desk.unless_gone(under_way.told.get())
        if first is None and working.exception() is not None:
            await working
    except BaseException:
        await close()
        raise
    events = _events(desk, under_way, first, working)
    return Stream(guarded(events, lambda error: event(body_of(error))), close)


def _over(pulls: Pulls, under_way: _Pull, done: asyncio.Future[str]) -> None:
    if not done.cancelled():
        done.exception()  # seen, if only by whoever has left
    pulls.under_way -= 1
    under_way.told.put_nowait(None)


def _name(body: PullBody) -> str:
    """Under which the model will be here. Raises :class:`InvalidRequestError` for a place."""
    if not address.is_name(body.model) and not body.model.startswith("hf:"):
        raise InvalidRequestError(
            "model",
            f"{body.model!r:.80} is neither a name of the catalogue nor hf:owner/name",
            remedy="Other things are pulled with `studiolo pull`, on the machine itself.",
        )
    try:
        return checked_name(body.name) if body.name is not None else address.own_name(body.model)
    except InvalidRequestError as error:
        where = "model" if body.name is None else "name"
        raise InvalidRequestError(where, error.message.removeprefix("name: ")) from None


async def _events(
    desk: Desk, under_way: _Pull, first: PullEvent | None, working: asyncio.Future[str]
) -> AsyncIterator[bytes]:
    told_of = first
    while told_of is not None:
        yield event(_written(told_of))
        told_of = await under_way.told.get()
    yield event({"status": "done", "model": await told(desk, await working)})


def _written(told_of: PullEvent) -> dict[str, Any]:
    if isinstance(told_of, Note):
        return {"status": "note", "text": told_of.text}
    done, total = told_of.done, told_of.total
    return {"status": "progress", "name": told_of.name, "done": done, "total": total}
