"""``/v1/receipts`` and ``/v1/feedback``, our own: what an answer was, and how good.

Both are asked by the id of a request (``x-request-id``) or of its answer (``chatcmpl-…``,
``resp_…``), which share their last part. A receipt is here by its id if the server keeps receipts;
whoever wants one in any case asks for it in the request, with ``receipt: true``.
"""

from __future__ import annotations

import asyncio

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from studiolo.errors import NotFoundError
from studiolo.record.feedback import MAX_COMMENT, MAX_CORRECTION, Rating
from studiolo.server.desk import Desk
from studiolo.server.openai import paging
from studiolo.server.replies import Json
from studiolo.server.schema import takes
from studiolo.task.openai.fields import Body, parse

router = APIRouter(tags=["Studiolo"])
WRITTEN = 2.0
"""Seconds that a row of the records, which is written a little later, is waited for."""


class FeedbackBody(Body):
    """``rating``: from -1, bad, to 1, good; ``correction``: the answer as it should have been.

    ``consent``: whether models may be trained on the prompt, the answer and the correction.
    """

    request_id: str = Field(max_length=64)
    rating: float = Field(ge=-1, le=1)
    comment: str = Field("", max_length=MAX_COMMENT)
    correction: str | None = Field(None, min_length=1, max_length=MAX_CORRECTION)
    consent: bool = False


@router.get("/v1/receipts/{id}")
async def retrieve_receipt(request: Request, id: str) -> Response:
    """The receipt of an answer: the bytes that ``studiolo replay`` takes."""
    desk = Desk(request)
    desk.require("inference")
    contents, key = desk.studio.records.contents, desk.context.caller.id or None
    answered = paging.request_of(id)
    receipt = None
    if answered is not None:
        receipt = await asyncio.to_thread(contents.receipt, answered, key)
    if receipt is None:
        raise NotFoundError(
            f"there is no receipt of {id!r:.60}",
            remedy=None
            if contents.policy.receipts
            else "This server keeps none; ask with `receipt: true` to have it in the answer.",
        )
    return Response(receipt, media_type="application/json")


@router.post("/v1/feedback", openapi_extra=takes(FeedbackBody))
async def create_feedback(request: Request) -> Response:
    """Rate an answer; an earlier rating of it is replaced."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(FeedbackBody, await desk.body())
    made = await asyncio.to_thread(_rate, desk, body)
    return Json(
        {
            "object": "feedback",
            "request_id": made.request,
            "rating": made.rating,
            "comment": made.comment,
            "correction": made.correction,
            "consent": made.consent,
            "created_at": int(made.created),
        }
    )


def _rate(desk: Desk, body: FeedbackBody) -> Rating:
    records, key = desk.studio.records, desk.context.caller.id or None
    rated = paging.request_of(body.request_id)
    if rated is None:
        raise NotFoundError(f"{body.request_id!r:.60} is no request of this key")

    def put() -> Rating:
        return records.feedback.put(
            *(rated, key, body.rating, body.comment),
            correction=body.correction,
            consent=body.consent,
        )

    try:
        return put()
    except NotFoundError:  # or not written yet
        records.ledger.flush(WRITTEN)
        return put()
