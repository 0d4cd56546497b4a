"""``/api/generate`` and ``/api/chat``."""

from __future__ import annotations

from dataclasses import replace

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.errors import InvalidRequestError
from studiolo.server.desk import Desk
from studiolo.server.ollama import answers, asking
from studiolo.server.ollama.bodies import OllamaChatBody, OllamaGenerateBody, OllamaTextBody
from studiolo.server.ollama.names import plain
from studiolo.server.ollama.opening import Closing, close, closes, opened
from studiolo.server.prompts import continued, language_model
from studiolo.server.replies import Json
from studiolo.server.schema import takes
from studiolo.task.asking import TextAsk
from studiolo.task.openai.errors import told
from studiolo.task.openai.fields import parse
from studiolo.task.wording import worded

router = APIRouter(tags=["Ollama"])


@router.post("/api/generate", openapi_extra=takes(OllamaGenerateBody))
async def generate(request: Request) -> Response:
    """Go on from a prompt."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(OllamaGenerateBody, await desk.body())
    name = desk.model(plain(body.model))
    asked = bool(body.prompt or body.suffix or body.system)
    return await _answered(desk, body, asking.completion(body, name) if asked else None, name)


@router.post("/api/chat", openapi_extra=takes(OllamaChatBody))
async def chat(request: Request) -> Response:
    """Answer a conversation."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(OllamaChatBody, await desk.body())
    name = desk.model(plain(body.model))
    return await _answered(desk, body, asking.chat(body, name) if body.messages else None, name)


async def _answered(desk: Desk, body: OllamaTextBody, ask: TextAsk | None, name: str) -> Response:
    """The answer to ``ask``; without one the model is opened, or closed, and that is all."""
    house, closing = desk.studio.house, closes(desk, body.keep_alive)
    chats = isinstance(body, OllamaChatBody)
    head = answers.Head(body.model, chats, desk.context.clock)
    await desk.admit()
    if ask is None:
        await (close(house, name) if closing else opened(house, name))
        return Json(answers.empty(head, "unload" if closing else "load"))
    with worded(asking.NAMES):
        head = replace(head, load=await opened(house, name))
        ask = await _fitted(desk, await continued(desk.studio, ask), body)
        reply: Response
        if body.stream is None or body.stream:
            reply = await desk.stream(
                ask,
                lambda answer: answers.lines(head, answer),
                lambda error: answers.written({"error": told(error)}),
                answers.NDJSON,
            )
        else:
            write = await desk.whole(
                ask, lambda choices, outcome, _: answers.whole(head, choices, outcome)
            )
            reply = Json(write)
    return Closing(reply, house, name) if closing else reply


async def _fitted(desk: Desk, ask: TextAsk, body: OllamaTextBody) -> TextAsk:
    """``ask`` with its number of tokens, which a model elsewhere is left to see to."""
    if ask.model not in desk.studio.house.elsewhere:
        async with language_model(desk.studio, ask.model, "model") as lm:
            return await asking.fitted(lm, ask, body.options)
    if body.options is not None and body.options.num_ctx is not None:
        raise InvalidRequestError("options.num_ctx", f"{ask.model} answers elsewhere")
    wanted = asking.wished(body.options)
    return ask if wanted is None else replace(ask, options={**ask.options, "max_tokens": wanted})
