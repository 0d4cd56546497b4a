"""``/v1/messages``: a conversation in, an answer out; and how many tokens it has."""

from __future__ import annotations

from collections.abc import AsyncIterator

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.errors import NotFoundError
from studiolo.server.anthropic import answers, conversation
from studiolo.server.anthropic.bodies import MessageBody, PromptBody
from studiolo.server.anthropic.errors import body_of
from studiolo.server.desk import Desk
from studiolo.server.prompts import continued, encoded, language_model
from studiolo.server.replies import Json, event
from studiolo.server.schema import takes
from studiolo.task.asking import Answer
from studiolo.task.openai.fields import parse
from studiolo.task.wording import worded

router = APIRouter(tags=["Anthropic"])


@router.post("/v1/messages", openapi_extra=takes(MessageBody))
async def create_message(request: Request) -> Response:
    """Answer a conversation."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(MessageBody, await desk.body())
    desk.context.user = None if body.metadata is None else body.metadata.user_id
    head = answers.Head(f"msg_{desk.id}", desk.model(body.model))

    async def events(answer: Answer) -> AsyncIterator[bytes]:
        async for each in answers.events(head, answer):
            yield event(each, each["type"])

    def failed(error: Exception) -> bytes:
        return event(body_of(error, desk.context.id), "error")

    with worded(conversation.NAMES):
        ask = conversation.ask(body, head.model)
        await desk.admit()
        ask = await continued(desk.studio, ask)
        if body.stream:
            return await desk.stream(ask, events, failed)
        return Json(
            await desk.whole(ask, lambda choices, outcome, _: answers.whole(head, choices, outcome))
        )


@router.post("/v1/messages/count_tokens", openapi_extra=takes(PromptBody))
async def count_tokens(request: Request) -> Response:
    """How many tokens a conversation has, as a request with it would read them."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(PromptBody, await desk.body())
    ask = conversation.ask(body, desk.model(body.model))
    await desk.admit()
    async with language_model(desk.studio, ask.model, "model") as lm:
        return Json({"input_tokens": len(await encoded(lm, ask))})


@router.api_route(
    "/v1/messages/batches{rest:path}", methods=["GET", "POST", "DELETE"], include_in_schema=False
)
async def refuse_batches(request: Request) -> Response:
    """There are none."""
    raise NotFoundError(
        "Message Batches are not supported here",
        remedy="/v1/batches takes OpenAI's, and `studiolo batch` a file.",
    )
