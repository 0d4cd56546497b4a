"""``/api/tags``, ``/api/show``, ``/api/ps`` and ``/api/version``: what there is."""

from __future__ import annotations

import asyncio
from importlib.metadata import version
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.bundle import store
from studiolo.errors import InvalidRequestError, UnknownModelError
from studiolo.server.desk import Desk
from studiolo.server.ollama import details
from studiolo.server.ollama.bodies import OllamaNameBody, OllamaShowBody
from studiolo.server.ollama.names import plain, tagged
from studiolo.server.replies import Json
from studiolo.server.schema import takes
from studiolo.task.openai.fields import parse

router = APIRouter(tags=["Ollama"])


@router.get("/api/tags")
async def tags(request: Request) -> Response:
    """The models that the caller may use."""
    desk = Desk(request)
    desk.require("inference")
    return Json({"models": await asyncio.to_thread(_listed, desk)})


@router.post("/api/show", openapi_extra=takes(OllamaShowBody))
async def show(request: Request) -> Response:
    """One model."""
    desk = Desk(request)
    desk.require("inference")
    name = desk.model(named(parse(OllamaShowBody, await desk.body())))
    return Json(await asyncio.to_thread(_shown, desk, name))


@router.get("/api/ps")
async def ps(request: Request) -> Response:
    """The models that are open, as far as the caller may use them; ``size``: of their memory."""
    desk = Desk(request)
    desk.require("inference")
    return Json({"models": await asyncio.to_thread(_open, desk)})


@router.get("/api/version")
async def tell_version() -> Response:
    """Studiolo's own version, not one of Ollama's."""
    return Json({"version": version("studiolo")})


def named(body: OllamaNameBody) -> str:
    """The name here of the model that a body is about."""
    if (body.model is None) == (body.name is None):
        raise InvalidRequestError("model", "is missing" if body.name is None else "is given twice")
    return plain(body.model or body.name or "")


def _listed(desk: Desk) -> list[dict[str, Any]]:
    found = []
    for name, _, _ in desk.studio.house.known():
        if desk.context.caller.may_use(name):
            known = _bundle(desk, name)
            told = {"details": {}} if known is None else details.listed(known)
            found.append({"name": tagged(name), "model": tagged(name), **told})
    return found


def _shown(desk: Desk, name: str) -> dict[str, Any]:
    if name in desk.studio.house.elsewhere:
        return {"details": {}, "model_info": {}, "capabilities": ["completion"]}
    bundle = _bundle(desk, name)
    if bundle is None:
        raise UnknownModelError(name, [known for known, _, _ in desk.studio.house.known()])
    return details.shown(bundle)


def _open(desk: Desk) -> list[dict[str, Any]]:
    found = []
    for name, size in desk.studio.house.engine.models.loaded.items():
        if desk.context.caller.may_use(name):
            known = _bundle(desk, name)
            told = {} if known is None else details.listed(known)
            told.pop("modified_at", None)
            found.append({"name": tagged(name), "model": tagged(name), **told, "size": size})
    return found


def _bundle(desk: Desk, name: str) -> store.Bundle | None:
    """The installed model of that name; nothing else on this machine is looked at."""
    if name in desk.studio.house.elsewhere or store.looks_like_path(name):
        return None
    return store.find(name)
