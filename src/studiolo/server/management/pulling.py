"""Pulling a model over HTTP: from the catalogue or the hub, told as it goes on.

Server-sent events, each JSON: ``{"status": "note", "text"}``, ``{"status": "progress", "name",
"done", "total"}`` in bytes, and last ``{"status": "done", "model"}`` or ``{"error"}`` in OpenAI's
shape. What is refused is refused before the first of them. A client that leaves stops the pull;
what has arrived is kept, and the next pull goes on from there.

A path or a web address is never pulled: the one would read this machine's disk, the other its
network.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from studiolo.bundle import address
from studiolo.bundle.landing import Note, PullEvent
from studiolo.bundle.manifest import checked_name
from studiolo.errors import InvalidRequestError, LicenceNotAcceptedError
from studiolo.server.desk import Desk
from studiolo.server.management.models import allow, told
from studiolo.server.pulls import Pull, Pulls, pullable
from studiolo.server.replies import Stream, event, guarded
from studiolo.server.schema import takes
from studiolo.task.openai.errors import body_of
from studiolo.task.openai.fields import Body, Name, parse

router = APIRouter(tags=["Studiolo"])


class PullBody(Body):
    """``model``: a name of the catalogue, ``hf:owner/name`` or ``hf:owner/name/file.gguf``."""

    model: Name
    name: Name | None = Field(None, description="What to call it here; not for the catalogue's.")
    accept_licence: bool = False


@router.post("/studiolo/v1/models/pull", openapi_extra=takes(PullBody))
async def pull_model(request: Request) -> Response:
    """Fetch a model."""
    desk = Desk(request)
    desk.require("models:write")
    body = parse(PullBody, await desk.body())
    allow(desk, _name(body))
    pulls: Pulls = request.app.state.pulls
    pulling = Pull(body.model, pulls, name=body.name, accept_licence=body.accept_licence)
    happening = aiter(pulling)

    async def close() -> None:
        pulling.stop()

    try:
        first = await desk.unless_gone(anext(happening, None))
    except LicenceNotAcceptedError as error:
        remedy = "Accept them with accept_licence."
        raise LicenceNotAcceptedError(error.message, remedy=remedy) from None
    except BaseException:
        pulling.stop()
        raise
    events = _events(desk, pulling, first, happening)
    return Stream(guarded(events, lambda error: event(body_of(error))), close)


def _name(body: PullBody) -> str:
    """Under which the model will be here. Raises :class:`InvalidRequestError` for a place."""
    pullable(body.model, "model")
    try:
        return checked_name(body.name) if body.name is not None else address.own_name(body.model)
    except InvalidRequestError as error:
        where = "model" if body.name is None else "name"
        raise InvalidRequestError(where, error.message.removeprefix("name: ")) from None


async def _events(
    desk: Desk, pulling: Pull, first: PullEvent | None, rest: AsyncIterator[PullEvent]
) -> AsyncIterator[bytes]:
    if first is not None:
        yield event(_written(first))
    async for each in rest:
        yield event(_written(each))
    yield event({"status": "done", "model": await told(desk, pulling.bundle.name)})


def _written(told_of: PullEvent) -> dict[str, Any]:
    if isinstance(told_of, Note):
        return {"status": "note", "text": told_of.text}
    done, total = told_of.done, told_of.total
    return {"status": "progress", "name": told_of.name, "done": done, "total": total}
