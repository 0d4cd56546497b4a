"""Models over HTTP: list them, load, unload, remove. No address leads to a path of this machine."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.bundle import store
from studiolo.bundle.address import is_name
from studiolo.errors import (
    ConflictError,
    InvalidRequestError,
    PermissionDeniedError,
    UnknownModelError,
)
from studiolo.server.desk import Desk
from studiolo.server.management import facts
from studiolo.server.management.apart import apart
from studiolo.server.replies import Json
from studiolo.server.schema import takes
from studiolo.task.openai.fields import Body, Name, parse

router = APIRouter(tags=["Studiolo"])


class ModelBody(Body):
    """Which model."""

    model: Name


@router.get("/studiolo/v1/models")
async def list_models(request: Request) -> Response:
    """The models that the caller may use, and what becomes of each."""
    desk = Desk(request)
    desk.require("models:read")
    broken = await asyncio.to_thread(facts.broken_models)
    may_use = desk.context.caller.may_use
    return Json(
        {
            "object": "list",
            "data": [each for each in await _known(desk) if may_use(each["name"])],
            "broken": [name for name in broken if may_use(name)],
        }
    )


@router.get("/studiolo/v1/catalogue")
async def list_catalogue(request: Request) -> Response:
    """The models that could be pulled by name."""
    desk = Desk(request)
    desk.require("models:read")
    return Json({"object": "list", "data": await asyncio.to_thread(facts.catalogue)})


@router.get("/studiolo/v1/models/{model}")
async def retrieve_model(request: Request, model: str) -> Response:
    """One of them."""
    desk = Desk(request)
    desk.require("models:read")
    allow(desk, model)
    return Json(await told(desk, model))


@router.post("/studiolo/v1/models/load", openapi_extra=takes(ModelBody))
async def load_model(request: Request) -> Response:
    """Open a model that is installed, so that the first request need not wait."""
    desk, name = await _named(request)

    async def work() -> None:
        if name not in desk.studio.house.elsewhere:
            async with desk.studio.house.use(name):
                pass

    await desk.unless_gone(work())
    return Json(await told(desk, name))


@router.post("/studiolo/v1/models/unload", openapi_extra=takes(ModelBody))
async def unload_model(request: Request) -> Response:
    """Close a model that nobody uses, and have its memory back."""
    desk, name = await _named(request)
    desk.studio.house.unload(name)
    return Json(await told(desk, name))


@router.delete("/studiolo/v1/models/{model}")
async def remove_model(request: Request, model: str) -> Response:
    """Close a model and delete it from this machine."""
    desk = Desk(request)
    desk.require("models:write")
    allow(desk, model)
    if model in desk.studio.house.elsewhere:
        raise ConflictError(f"{model} is elsewhere, and cannot be removed from here")
    desk.studio.house.unload(model)
    await apart(lambda: store.remove(model), "studiolo-remove")
    return Json({"object": "model.deleted", "name": model, "deleted": True})


def allow(desk: Desk, name: str) -> None:
    """Raise unless ``name`` is a name, and one that the caller may use."""
    if not is_name(name):
        raise InvalidRequestError("model", f"{name!r:.80} is not the name of a model")
    if not desk.context.caller.may_use(name):
        raise PermissionDeniedError(
            f"the key {desk.context.caller.id} is not for the model {name!r:.140}"
        )


async def told(desk: Desk, name: str) -> dict[str, Any]:
    """What is to be said of the model ``name``. Raises :class:`UnknownModelError`."""
    known = await _known(desk)
    for each in known:
        if each["name"] == name:
            return each
    may_use = desk.context.caller.may_use
    raise UnknownModelError(name, [each["name"] for each in known if may_use(each["name"])])


async def _named(request: Request) -> tuple[Desk, str]:
    """The model that a body names, which is there, and which the caller may use and change."""
    desk = Desk(request)
    desk.require("models:write")
    name = parse(ModelBody, await desk.body()).model
    allow(desk, name)
    await told(desk, name)
    return desk, name


async def _known(desk: Desk) -> list[dict[str, Any]]:
    return await asyncio.to_thread(facts.models, desk.studio.house)
