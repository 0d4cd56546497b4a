"""``/v1/chat/completions``, ``/v1/completions`` and ``/v1/embeddings``."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any, TypeVar

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.server.desk import Desk
from studiolo.server.replies import Json, event
from studiolo.server.schema import takes
from studiolo.task.asking import Answer, TextAsk
from studiolo.task.openai import chat, completions, embeddings
from studiolo.task.openai.errors import body_of
from studiolo.task.openai.fields import Head, TextBody, parse
from studiolo.task.wording import worded

T = TypeVar("T")
router = APIRouter(tags=["OpenAI"])
DONE = b"data: [DONE]\n\n"


@router.post("/v1/chat/completions", openapi_extra=takes(chat.ChatBody))
async def create_chat_completion(request: Request) -> Response:
    """Answer a conversation."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(chat.ChatBody, await desk.body())
    head = _head(desk, body)
    ask = chat.ask(body, head.model)
    more = {"include_usage": _usage(body), "receipt": bool(body.receipt)}

    def chunks(answer: Answer) -> AsyncIterator[bytes]:
        return _events(chat.chunks(head, answer, **more))

    with worded(chat.names(body)):
        if body.stream:
            return await desk.stream(ask, chunks, failed)
        return Json(await told(desk, ask, lambda answer: chat.told(body, head, answer)))


@router.post("/v1/completions", openapi_extra=takes(completions.CompletionBody))
async def create_completion(request: Request) -> Response:
    """Go on from a prompt."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(completions.CompletionBody, await desk.body())
    head = _head(desk, body)
    ask = completions.ask(body, head.model)

    def chunks(answer: Answer) -> AsyncIterator[bytes]:
        return _events(completions.chunks(body, head, answer, include_usage=_usage(body)))

    with worded(completions.names(body)):
        if body.stream:
            return await desk.stream(ask, chunks, failed)
        return Json(await told(desk, ask, lambda answer: completions.told(body, head, answer)))


@router.post("/v1/embeddings", openapi_extra=takes(embeddings.EmbeddingBody))
async def create_embedding(request: Request) -> Response:
    """Make vectors of texts."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(embeddings.EmbeddingBody, await desk.body())
    desk.context.user = body.user
    name = desk.model(body.model, encoder=True)
    texts = embeddings.texts(body)
    with worded(embeddings.names(body)):
        vectors, tokens = await desk.embed(name, texts, truncate=bool(body.truncate))
    return Json(embeddings.whole(body, vectors, tokens, name))


def _head(desk: Desk, body: TextBody) -> Head:
    desk.context.user = body.user
    return Head(desk.id, int(desk.context.started), desk.model(body.model))


def _usage(body: TextBody) -> bool:
    return body.stream_options is not None and bool(body.stream_options.include_usage)


async def _events(chunks: AsyncIterator[dict[str, Any]]) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        yield event(chunk)
    yield DONE


async def told(
    desk: Desk,
    ask: TextAsk,
    write: Callable[[Answer], Awaitable[T]],
    notes: Callable[[Answer], Mapping[str, Any]] = lambda answer: {},
) -> T:
    """What ``write`` makes of an answer; ``notes`` as of :meth:`Desk.answer`."""

    async def work() -> T:
        async with desk.answer(ask, notes) as answer:
            return await write(answer)

    return await desk.unless_gone(work())


def failed(error: Exception) -> bytes:
    """The event that tells of ``error`` in the middle of a stream."""
    return event(body_of(error))
