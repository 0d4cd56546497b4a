"""What the machine has to give and what of it is taken: memory, and places in the engine."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.server.desk import Desk
from studiolo.server.inside import look
from studiolo.server.replies import Json

router = APIRouter(tags=["Studiolo"])


@router.get("/studiolo/v1/memory")
async def memory(request: Request) -> Response:
    """Bytes: of models, of requests under way, and of what prompts began with."""
    desk = Desk(request)
    desk.require("models:read")
    house = desk.studio.house
    inside, requests = look(house), house.engine.loop.scheduler.memory
    return Json(
        {
            "object": "memory",
            "models": {
                "limit": house.engine.models.limit,
                "used": sum(each.bytes for each in inside),
                "loaded": [{"name": each.name, "bytes": each.bytes} for each in inside],
            },
            "requests": {"limit": requests.limit, "used": requests.used},
            "prefixes": [
                {"model": each.name, **asdict(each.prefixes)}
                for each in inside
                if each.prefixes is not None
            ],
        }
    )


@router.get("/studiolo/v1/engine")
async def engine(request: Request) -> Response:
    """Requests under way and in line, for each model that is open."""
    desk = Desk(request)
    desk.require("models:read")
    house = desk.studio.house
    models: list[dict[str, Any]] = [
        {
            "name": each.name,
            "live": each.live,
            "waiting": each.waiting,
            "seconds": each.seconds,
        }
        for each in look(house)
        if each.is_open
    ]
    return Json(
        {
            "object": "engine",
            "running": not house.engine.closed,
            "requests": desk.studio.room.count,
            "models": models,
        }
    )
