"""``/v1/moderations``: the place of a model that judges texts. None can be configured yet.

A body is read and checked like any other; then the answer says that nobody here can judge it, since
a verdict that no model gave would be a lie.
"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.errors import NotFoundError
from studiolo.server.desk import Desk
from studiolo.server.schema import takes
from studiolo.task.openai.fields import Body, Many, Name, parse

router = APIRouter(tags=["OpenAI"])


class TextInput(Body):
    """A part of what is to be judged."""

    type: Literal["text"]
    text: str


class ModerationBody(Body):
    """The body of a request."""

    input: str | Many[str | TextInput]
    model: Name | None = None


@router.post("/v1/moderations", openapi_extra=takes(ModerationBody))
async def create_moderation(request: Request) -> Response:
    """Say that no model here judges texts."""
    desk = Desk(request)
    desk.require("inference")
    parse(ModerationBody, await desk.body())
    raise NotFoundError(
        "no model here moderates texts",
        remedy="Ask a chat model for a judgement, with a json_schema for its form.",
    )
