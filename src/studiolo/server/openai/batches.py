"""``/v1/batches``: files of requests, answered by :mod:`studiolo.server.jobs`.

Source: OpenAI API reference, "Batch". Each key sees its own.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.responses import Response

from studiolo.errors import ConflictError, InvalidRequestError, NotFoundError
from studiolo.record.batches import Batch
from studiolo.server.desk import Desk
from studiolo.server.openai import files, paging
from studiolo.server.replies import Json
from studiolo.server.schema import takes
from studiolo.task.openai import Url
from studiolo.task.openai.fields import Body, parse

router = APIRouter(tags=["OpenAI"])


class BatchBody(Body):
    """The body of a request."""

    input_file_id: str
    endpoint: Url
    completion_window: Literal["24h"]
    metadata: (
        Annotated[
            dict[Annotated[str, Field(max_length=64)], Annotated[str, Field(max_length=512)]],
            Field(max_length=16),
        ]
        | None
    ) = None


@router.post("/v1/batches", openapi_extra=takes(BatchBody))
async def create_batch(request: Request) -> Response:
    """Have the requests of a file answered."""
    desk = Desk(request)
    desk.require("batch")
    body = parse(BatchBody, await desk.body())
    key, records = desk.context.caller.id or None, desk.studio.records
    try:
        upload = await files.find(desk, body.input_file_id)
    except NotFoundError as error:
        raise InvalidRequestError("input_file_id", error.message) from None
    if upload.purpose != "batch":
        raise InvalidRequestError("input_file_id", f"{upload.id} is no file for a batch")
    batch = await asyncio.to_thread(
        records.batches.create,
        key=key,
        endpoint=body.endpoint,
        input_file=upload.id,
        metadata=body.metadata,
    )
    desk.studio.jobs.wake()
    return Json(written(batch))


@router.get("/v1/batches")
async def list_batches(request: Request) -> Response:
    """The caller's batches, the newest first."""
    desk = Desk(request)
    desk.require("batch")
    paging.check(request, "limit", "after")
    page = paging.asked(request, default=20, most=100)
    found = await asyncio.to_thread(
        desk.studio.records.batches.list,
        desk.context.caller.id or None,
        after=page.after,
        limit=page.limit + 1,
    )
    return Json(paging.written([written(each) for each in found], page))


@router.get("/v1/batches/{id}")
async def retrieve_batch(request: Request, id: str) -> Response:
    """How far a batch is."""
    desk = Desk(request)
    desk.require("batch")
    return Json(written(await _known(desk, id, desk.studio.records.batches.find)))


@router.post("/v1/batches/{id}/cancel")
async def cancel_batch(request: Request, id: str) -> Response:
    """Answer no more of a batch; what is answered by then is its output."""
    desk = Desk(request)
    desk.require("batch")
    batch = await _known(desk, id, desk.studio.records.batches.cancel)
    if batch.status not in ("cancelling", "cancelled"):
        raise ConflictError(f"{batch.id} is {batch.status}, and cannot be cancelled any more")
    desk.studio.jobs.wake()
    return Json(written(batch))


def written(batch: Batch) -> dict[str, Any]:
    """A batch, as the API has it."""
    errors = None if batch.error is None else {"object": "list", "data": json.loads(batch.error)}
    ended = {
        f"{status}_at": _whole(batch.finished) if batch.status == status else None
        for status in ("completed", "failed", "expired", "cancelled")
    }
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "errors": errors,
        "input_file_id": batch.input_file,
        "completion_window": "24h",
        "status": batch.status,
        "output_file_id": batch.output_file,
        "error_file_id": batch.error_file,
        "created_at": int(batch.created),
        "in_progress_at": _whole(batch.started),
        "expires_at": int(batch.expires),
        "finalizing_at": _whole(batch.finalizing),
        "cancelling_at": _whole(batch.cancelling),
        **ended,
        "request_counts": {
            "total": batch.total, "completed": batch.completed, "failed": batch.failed,
        },
        "metadata": dict(batch.metadata) or None,
    }  # fmt: skip


async def _known(desk: Desk, id: str, ask: Callable[[str, str | None], Batch | None]) -> Batch:
    """What ``ask`` knows of the caller's batch ``id``; raises :class:`NotFoundError`."""
    key = desk.context.caller.id or None
    batch = await asyncio.to_thread(ask, id, key) if paging.is_id(id) else None
    if batch is None:
        raise NotFoundError(f"there is no batch {id!r:.60}")
    return batch


def _whole(seconds: float | None) -> int | None:
    return None if seconds is None else int(seconds)
