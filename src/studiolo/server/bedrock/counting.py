"""``/model/{modelId}/count-tokens``: how many tokens a request has, as it would be read."""

from __future__ import annotations

import base64
import binascii

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock import converse
from studiolo.server.bedrock.converse import ConversePrompt
from studiolo.server.bedrock.dials import Shape
from studiolo.server.bedrock.invocations import FAMILIES
from studiolo.server.bedrock.messages import OneOf
from studiolo.server.bedrock.names import MODEL, name_of
from studiolo.server.bedrock.native import family_of, object_of
from studiolo.server.bedrock.prompts import tokenised
from studiolo.server.desk import Desk
from studiolo.server.prompts import encoded, language_model
from studiolo.server.replies import Json
from studiolo.server.schema import takes
from studiolo.task.asking import TextAsk
from studiolo.task.openai.fields import Head, parse
from studiolo.task.wording import worded

router = APIRouter(tags=["Bedrock"])


class InvokeTokens(Shape):
    """``body``: a native body, in base64."""

    body: str = Field(json_schema_extra={"format": "byte"})


class CountedInput(OneOf):
    """What is counted."""

    invoke_model: InvokeTokens | None = None
    converse: ConversePrompt | None = None


class CountTokensBody(Shape):
    """The body of a request."""

    input: CountedInput


@router.post("/model/{model_id:path}/count-tokens", openapi_extra=takes(CountTokensBody))
async def count_tokens(request: Request, model_id: str) -> Response:
    """How many tokens a request has."""
    desk = Desk(request)
    desk.require("inference")
    given = parse(CountTokensBody, await desk.body()).input
    name = desk.model(name_of(model_id))
    with worded(converse.NAMES if given.converse is not None else MODEL):
        await desk.admit()
        if given.converse is not None:
            ask = converse.ask(given.converse, name)
        else:
            ask = await _native(desk, given.invoke_model, name)
        async with language_model(desk.studio, name, "model") as lm:
            return Json({"inputTokens": len(await encoded(lm, ask))})


async def _native(desk: Desk, given: InvokeTokens | None, name: str) -> TextAsk:
    try:
        body = base64.b64decode(given.body if given else "", validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequestError("input.invokeModel.body", "is not base64") from None
    value = object_of(body)
    native = family_of(value, FAMILIES).read(value, Head(desk.id, 0, name))
    return await tokenised(desk.studio, native.ask)
