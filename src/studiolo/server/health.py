"""Whether the server lives, and whether it is ready: for whoever watches over it."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.server.replies import Json
from studiolo.server.studio import studio_of

router = APIRouter(tags=["health"])


@router.get("/live")
async def live() -> Response:
    """200 while the process answers at all."""
    return Json({"status": "live"})


@router.get("/ready")
@router.get("/health", include_in_schema=False)
async def ready(request: Request) -> Response:
    """200 when requests can be answered: the engine turns, and the records can be written."""
    studio = studio_of(request)
    wrong = []
    if studio.house.engine.closed:
        wrong.append("the engine has stopped")
    if studio.records.ledger.lag > studio.settings.lag:
        wrong.append("the records cannot be written")
    status = "not ready" if wrong else "ready"
    return Json({"status": status, "wrong": wrong}, 503 if wrong else 200)
