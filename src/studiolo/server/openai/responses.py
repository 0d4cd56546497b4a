"""``/v1/responses``: made, and where the server keeps contents, looked at again and gone on from.

Whether a response is stored is the server's policy: where that keeps no contents, ``store`` is
false in every answer, and asking for it by name is refused. A stored response is the contents of
its request and is deleted with them. One of another key is the same as none.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.errors import InvalidRequestError, NotFoundError
from studiolo.record.contents import Content
from studiolo.server.desk import Desk
from studiolo.server.openai import paging
from studiolo.server.openai.texts import told
from studiolo.server.replies import Json, event
from studiolo.server.schema import takes
from studiolo.task.asking import Answer, Message
from studiolo.task.openai import responses
from studiolo.task.openai.fields import Head, parse, receipt_of
from studiolo.task.openai.responses_events import Writer
from studiolo.task.wording import worded

router = APIRouter(tags=["OpenAI"])
UNSTORED = "Responses are stored where the server is told to keep contents."


@router.post("/v1/responses", openapi_extra=takes(responses.ResponseBody))
async def create_response(request: Request) -> Response:
    """Answer what is asked with items."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(responses.ResponseBody, await desk.body())
    desk.context.user = body.user
    stored = _stored(desk, body)
    before = await _before(desk, body.previous_response_id)
    head = Head(desk.id, int(desk.context.started), desk.model(body.model))
    ask = responses.ask(body, head.model, before)
    writer = Writer(body, head, stored=stored)

    def notes(answer: Answer) -> Mapping[str, Any]:
        response = writer.finish(answer.outcome)
        kept = {"response": dict(response), "input": responses.items(body, desk.id)}
        if body.receipt:
            response["receipt"] = receipt_of(answer)
        return kept if stored else {}

    async def events(answer: Answer) -> AsyncIterator[bytes]:
        for each in writer.begin(answer.fingerprint):
            yield _event(each)
        async for heard in answer:
            for each in writer.hear(heard):
                yield _event(each)
        yield _event(writer.end())

    async def whole(answer: Answer) -> dict[str, Any]:
        async for _ in events(answer):
            pass
        return writer.response

    with worded(responses.names(body)):
        if body.stream:
            return await desk.stream(ask, events, lambda e: _event(writer.fail(e)), notes=notes)
        return Json(await told(desk, ask, whole, notes))


@router.get("/v1/responses/{id}")
async def retrieve_response(request: Request, id: str) -> Response:
    """A stored response."""
    desk = Desk(request)
    desk.require("inference")
    paging.check(request, "include", "include[]")
    return Json((await _content(desk, id)).output["response"])


@router.delete("/v1/responses/{id}")
async def delete_response(request: Request, id: str) -> Response:
    """Delete a stored response, and whatever else is kept of its request."""
    desk = Desk(request)
    desk.require("inference")
    content = await _content(desk, id)
    contents = desk.studio.records.contents
    await asyncio.to_thread(contents.delete, request=content.request)
    return Json({"id": id, "object": "response", "deleted": True})


@router.get("/v1/responses/{id}/input_items")
async def list_input_items(request: Request, id: str) -> Response:
    """What a stored response was asked with, the last item first."""
    desk = Desk(request)
    desk.require("inference")
    paging.check(request, "include", "include[]", "after", "limit", "order")
    page = paging.asked(request, default=20, most=100, orders=("desc", "asc"))
    items: list[dict[str, Any]] = (await _content(desk, id)).output["input"]
    if not page.rising:
        items = items[::-1]
    if page.after is not None:
        places = [place for place, item in enumerate(items) if item["id"] == page.after]
        items = items[places[0] + 1 :] if places else []
    return Json(paging.written(items[: page.limit + 1], page))


def _stored(desk: Desk, body: responses.ResponseBody) -> bool:
    """Whether the response will be stored."""
    kept = desk.studio.records.contents.policy.contents
    if body.store and not kept:
        raise InvalidRequestError("store", "nothing is stored here", remedy=UNSTORED)
    return kept and body.store is not False


async def _content(desk: Desk, id: str) -> Content:
    """What is kept of a stored response; raises :class:`NotFoundError`."""
    key, request = desk.context.caller.id or None, paging.request_of(id)
    if request is not None and id.startswith("resp_"):
        content = await asyncio.to_thread(desk.studio.records.contents.content, request, key)
        if content is not None and content.output and "response" in content.output:
            return content
    kept = desk.studio.records.contents.policy.contents
    raise NotFoundError(f"no response is stored as {id!r:.60}", remedy=None if kept else UNSTORED)


async def _before(desk: Desk, id: str | None) -> Sequence[Message]:
    """The conversation up to and with the stored response ``id``, without its instructions."""
    if id is None:
        return ()
    try:
        content = await _content(desk, id)
    except NotFoundError as error:
        raise InvalidRequestError(
            "previous_response_id", error.message, remedy=error.remedy
        ) from None
    messages = content.prompt["messages"]
    if content.output["response"]["instructions"] is not None:
        messages = messages[1:]
    (choice,) = content.output["choices"]
    said: dict[str, Any] = {"role": "assistant", "content": choice["text"]}
    if calls := choice.get("tool_calls"):
        said = {"role": "assistant", "content": choice["text"] or None, "tool_calls": calls}
    return [*messages, said]


def _event(written: dict[str, Any]) -> bytes:
    return event(written, written["type"])
