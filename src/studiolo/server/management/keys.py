"""Keys over HTTP, and the deletion of what was kept: for administrators."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from studiolo.errors import InvalidRequestError
from studiolo.record.grant import Budget, Key, Limits, Scope
from studiolo.server.desk import Desk
from studiolo.server.management.query import queried, queries
from studiolo.server.replies import Json
from studiolo.server.schema import takes
from studiolo.task.openai.fields import Body, parse

router = APIRouter(tags=["Studiolo"])
DELETED = {
    "key": "Of requests with this key.",
    "user": "Of requests for this user, as clients said.",
    "request": "Of this request.",
}


class KeyBody(Body):
    """A key to be made; what is left out is as for ``studiolo keys create``."""

    name: str
    owner: str = ""
    scopes: list[Scope] = Field(["inference", "models:read"], min_length=1)
    models: list[str] = Field(["*"], min_length=1, description="Names, or patterns of them.")
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    budget: str | None = Field(None, description="Such as 10/month, 0.5/day or 100/total.")
    expires: float | None = Field(None, description="Unix seconds.")


@router.get("/studiolo/v1/keys")
async def list_keys(request: Request) -> Response:
    """Every key there was, the oldest first, without their secrets."""
    desk = Desk(request)
    desk.require("admin")
    found = await asyncio.to_thread(desk.studio.records.keys.list)
    return Json({"object": "list", "data": [_written(key) for key in found]})


@router.post("/studiolo/v1/keys", openapi_extra=takes(KeyBody))
async def create_key(request: Request) -> Response:
    """Make a key. Its secrets are in this answer and nowhere else."""
    desk = Desk(request)
    desk.require("admin")
    body = parse(KeyBody, await desk.body())
    budget = None if body.budget is None else Budget.parse(body.budget)
    limits = Limits(body.requests_per_minute, body.tokens_per_minute, budget)
    made = await asyncio.to_thread(
        lambda: desk.studio.records.keys.create(
            name=body.name,
            owner=body.owner,
            scopes=body.scopes,
            models=body.models,
            limits=limits,
            expires=body.expires,
        )
    )
    aws = {
        "access_key_id": made.aws.access_key_id,
        "secret_access_key": made.aws.secret_access_key,
    }
    return Json({**_written(made.key), "secret": made.secret, "aws": aws})


@router.delete("/studiolo/v1/keys/{id}")
async def revoke_key(request: Request, id: str) -> Response:
    """End a key for good; within a second nobody takes it any more."""
    desk = Desk(request)
    desk.require("admin")
    return Json(_written(await asyncio.to_thread(desk.studio.records.keys.revoke, id)))


@router.delete("/studiolo/v1/contents", openapi_extra=queries(**DELETED))
async def delete_contents(request: Request) -> Response:
    """Delete prompts, outputs, receipts and ratings of all that is named together."""
    desk = Desk(request)
    desk.require("admin")
    asked = queried(request, DELETED)
    if not any(asked.values()):
        raise InvalidRequestError("key", "or user or request must be given")
    records = desk.studio.records

    def work() -> tuple[int, int]:
        contents = records.contents.delete(**asked)
        # Ratings are of a key's or a user's requests, and go with those alone.
        whose = {name: asked.get(name) for name in ("key", "user")}
        return contents, 0 if "request" in asked else records.feedback.delete(**whose)

    contents, ratings = await asyncio.to_thread(work)
    return Json({"object": "contents.deleted", "requests": contents, "ratings": ratings})


def _written(key: Key) -> dict[str, Any]:
    limits = key.limits
    return {
        "object": "key",
        "id": key.id,
        "name": key.name,
        "owner": key.owner,
        "scopes": key.scopes,
        "models": key.models,
        "requests_per_minute": limits.requests_per_minute,
        "tokens_per_minute": limits.tokens_per_minute,
        "budget": None if limits.budget is None else str(limits.budget),
        "created": key.created,
        "expires": key.expires,
        "revoked": key.revoked,
    }
