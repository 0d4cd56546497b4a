"""Who used how much, and what became of requests: from the records, without contents.

Everybody may see their own; what is everybody's needs the scope ``usage``.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.errors import PermissionDeniedError
from studiolo.record.ledger import BYS, By, Usage
from studiolo.server.desk import Desk, whole_number
from studiolo.server.management.query import moment, queried, queries
from studiolo.server.replies import Json

router = APIRouter(tags=["Studiolo"])
MOST = 1000
SUMS = (
    *("requests", "errors", "prompt_tokens", "cached_tokens", "completion_tokens"),
    *("cost", "joules", "seconds"),
)
USAGE = {
    "by": f"What to group by, any of {', '.join(BYS)}, with commas between.",
    "since": "Unix seconds, or a day like 2026-11-22, UTC.",
    "until": "The same; not including it.",
    "key": "Of this key alone.",
}
REQUESTS = {
    "limit": f"How many, up to {MOST:,}.",
    "before": "The id of a request; those older than it.",
}


@router.get("/studiolo/v1/usage", openapi_extra=queries(**USAGE))
async def usage(request: Request) -> Response:
    """Requests, tokens, cost and energy, summed up."""
    desk = Desk(request)
    asked = queried(request, USAGE)
    key = _key(desk, asked.get("key"))
    by = cast("list[By]", [each for each in asked.get("by", "").split(",") if each])
    since, until = (moment(name, asked.get(name)) for name in ("since", "until"))

    def read() -> tuple[Usage, ...]:
        ledger = desk.studio.records.ledger
        ledger.flush(1.0)
        return ledger.usage(by=by, key=key, since=since, until=until)

    found = await asyncio.to_thread(read)
    return Json(
        {
            "object": "list",
            "energy": request.app.state.meter.source,
            "data": [_row(each, by) for each in found],
        }
    )


@router.get("/studiolo/v1/requests", openapi_extra=queries(**REQUESTS))
async def requests(request: Request) -> Response:
    """The caller's own requests, the newest first."""
    desk = Desk(request)
    if desk.context.caller.key is None:
        desk.require("usage")
    asked = queried(request, REQUESTS)
    limit = whole_number("limit", asked.get("limit", "100"), 1, MOST)
    before, key = asked.get("before"), desk.context.caller.id or None
    ledger = desk.studio.records.ledger
    found = await asyncio.to_thread(ledger.requests, key, limit=limit + 1, before=before)
    return Json(
        {
            "object": "list",
            "data": [{"object": "request", **vars(each)} for each in found[:limit]],
            "has_more": len(found) > limit,
        }
    )


def _key(desk: Desk, named: str | None) -> str | None:
    """Whose usage is meant: everybody's is None."""
    own = desk.context.caller.key
    if own is None or own.allows("usage"):
        desk.require("usage")
        return named
    if named not in (None, own.id):
        raise PermissionDeniedError(
            "the usage of other keys needs the scope 'usage'", remedy="Leave out key for your own."
        )
    return own.id


def _row(found: Usage, by: list[By]) -> dict[str, Any]:
    values = vars(found)
    return {"object": "usage", **{name: values[name] for name in (*by, *SUMS)}}
