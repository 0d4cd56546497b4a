"""``/v1/models``: what can be asked by name. Source: OpenAI API reference, "Models"."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.errors import UnknownModelError
from studiolo.server.anthropic import VERSION
from studiolo.server.anthropic import models as anthropic
from studiolo.server.desk import Desk
from studiolo.server.replies import Json

router = APIRouter(tags=["OpenAI"])


@router.get("/v1/models")
async def list_models(request: Request) -> Response:
    """The models that the caller may use."""
    usable = _usable(Desk(request))
    if VERSION in request.headers:
        return await anthropic.answer(request, usable, None)
    return Json({"object": "list", "data": [_written(*each) for each in usable]})


@router.get("/v1/models/{model:path}")
async def retrieve_model(request: Request, model: str) -> Response:
    """One model."""
    usable = _usable(Desk(request))
    if VERSION in request.headers:
        return await anthropic.answer(request, usable, model)
    for name, created, owner in usable:
        if name == model:
            return Json(_written(name, created, owner))
    raise UnknownModelError(model, [name for name, _, _ in usable])


def _usable(desk: Desk) -> list[tuple[str, int, str]]:
    desk.require("inference")
    return [each for each in desk.studio.house.known() if desk.context.caller.may_use(each[0])]


def _written(name: str, created: int, owner: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": owner}
