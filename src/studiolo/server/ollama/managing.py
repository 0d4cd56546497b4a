"""``/api/pull`` and ``/api/delete``, and what is not possible here: making and copying models."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.bundle import store
from studiolo.bundle.catalogue import Catalogue
from studiolo.bundle.landing import Note, PullEvent
from studiolo.bundle.manifest import digest_of
from studiolo.errors import ConflictError, NotFoundError
from studiolo.server.desk import Desk
from studiolo.server.management.apart import apart
from studiolo.server.ollama.answers import NDJSON, written
from studiolo.server.ollama.bodies import OllamaNameBody, OllamaPullBody
from studiolo.server.ollama.models import named
from studiolo.server.ollama.names import TAG
from studiolo.server.pulls import Pull, pullable
from studiolo.server.replies import Json, Stream, guarded
from studiolo.server.schema import takes
from studiolo.task.openai.errors import told
from studiolo.task.openai.fields import parse

router = APIRouter(tags=["Ollama"])


@router.post("/api/pull", openapi_extra=takes(OllamaPullBody))
async def pull(request: Request) -> Response:
    """Fetch a model, and tell how far it is."""
    desk = Desk(request)
    desk.require("models:write")
    body = parse(OllamaPullBody, await desk.body())
    desk.model(named(body))
    what = pullable((body.model or body.name or "").removesuffix(TAG), "model")
    pulling = Pull(what, request.app.state.pulls)
    events = aiter(pulling)
    first = await desk.unless_gone(anext(events, None))  # what is refused is refused at once
    digest = await asyncio.to_thread(_digest, what)

    async def lines() -> AsyncGenerator[bytes, None]:
        if first is not None:
            yield written(_written(first, digest))
        async for event in events:
            yield written(_written(event, digest))
        yield written({"status": "success"})

    async def close() -> None:
        pulling.stop()

    def failed(error: Exception) -> bytes:
        desk.context.failed(error)
        return written({"error": told(error)})

    if body.stream is None or body.stream:
        return Stream(guarded(lines(), failed), close, NDJSON)
    await desk.unless_gone(_over(events))
    return Json({"status": "success"})


@router.delete("/api/delete", openapi_extra=takes(OllamaNameBody), response_class=Response)
async def delete(request: Request) -> Response:
    """Remove a model."""
    desk = Desk(request)
    desk.require("models:write")
    name = desk.model(named(parse(OllamaNameBody, await desk.body())))
    if name in desk.studio.house.elsewhere:
        raise ConflictError(f"{name} is elsewhere, and cannot be removed from here")
    await asyncio.to_thread(desk.studio.house.unload, name)
    await apart(lambda: store.remove(name), "studiolo-remove")
    return Response(status_code=200)


@router.post("/api/create", include_in_schema=False)
@router.post("/api/copy", include_in_schema=False)
@router.post("/api/push", include_in_schema=False)
@router.post("/api/blobs/{digest:path}", include_in_schema=False)
@router.head("/api/blobs/{digest:path}", include_in_schema=False)
async def refuse(request: Request) -> Response:
    """What Ollama has, and there is not here."""
    kind = request.url.path.split("/")[2]
    raise NotFoundError(f"/api/{kind} is not supported here: {_NOT_HERE[kind]}")


async def _over(events: AsyncIterator[PullEvent]) -> None:
    async for _ in events:
        pass


def _digest(what: str) -> str | None:
    """That of the catalogue's files; of what is elsewhere it is known when they are here."""
    entry = Catalogue.load(store.home()).entries.get(what)
    return None if entry is None else digest_of(pin.sha256 for pin in entry.pins.values())


def _written(event: PullEvent, digest: str | None) -> dict[str, Any]:
    if isinstance(event, Note):
        return {"status": event.text}
    known = {} if digest is None else {"digest": f"sha256:{digest}"}
    total = {} if event.total is None else {"total": event.total}
    return {"status": f"pulling {event.name}", **known, **total, "completed": event.done}


_NOT_HERE = {
    "create": "a GGUF file is installed with `studiolo pull PATH`, on the server's machine",
    "copy": "a model has one name",
    "push": "models are not sent from here",
    "blobs": "a GGUF file is installed with `studiolo pull PATH`, on the server's machine",
}
