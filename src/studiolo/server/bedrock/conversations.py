"""``/model/{modelId}/converse`` and ``…/converse-stream``."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.server.bedrock import converse, framing
from studiolo.server.bedrock.errors import failed
from studiolo.server.bedrock.names import name_of
from studiolo.server.desk import Desk
from studiolo.server.prompts import continued
from studiolo.server.replies import Json
from studiolo.server.schema import takes
from studiolo.task.asking import Answer, TextAsk
from studiolo.task.openai.fields import parse
from studiolo.task.wording import worded

router = APIRouter(tags=["Bedrock"])


@router.post("/model/{model_id:path}/converse", openapi_extra=takes(converse.ConverseBody))
async def converse_whole(request: Request, model_id: str) -> Response:
    """Answer a conversation."""
    desk = Desk(request)
    body, ask = await _read(desk, model_id)
    with worded(converse.NAMES):
        return Json(
            await desk.whole(ask, lambda made, outcome, _: converse.whole(body, made, outcome))
        )


@router.post("/model/{model_id:path}/converse-stream", openapi_extra=takes(converse.ConverseBody))
async def converse_stream(request: Request, model_id: str) -> Response:
    """Answer a conversation, as it comes."""
    desk = Desk(request)
    body, ask = await _read(desk, model_id)

    def events(answer: Answer) -> AsyncIterator[bytes]:
        return converse.events(body, answer)

    with worded(converse.NAMES):
        return await desk.stream(ask, events, failed, framing.MEDIA_TYPE)


async def _read(desk: Desk, model_id: str) -> tuple[converse.ConverseBody, TextAsk]:
    desk.require("inference")
    body = parse(converse.ConverseBody, await desk.body())
    name = desk.model(name_of(model_id))
    with worded(converse.NAMES):
        ask = converse.ask(body, name)
        await desk.admit()
        return body, await continued(desk.studio, ask)
