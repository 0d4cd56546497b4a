"""``/v1/files``: what batches are made of, and what they give.

Source: OpenAI API reference, "Files". A file is as large as a body may be. Only batches use files
here, so one with another purpose is refused: it would be kept for nothing. Each key sees its own.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from studiolo.errors import InvalidRequestError, NotFoundError
from studiolo.record.uploads import Upload
from studiolo.server.desk import Desk, whole_number
from studiolo.server.multipart import Part, read_form
from studiolo.server.openai import paging
from studiolo.server.replies import Json

router = APIRouter(tags=["OpenAI"])
PURPOSES = ("batch",)
"""What a client may upload a file for; ``batch_output`` is made here."""
HOUR, MONTH = 3600, 30 * 86_400
"""A file lives as long as its client says, and no less or more than these seconds."""
FORM = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["file", "purpose"],
                    "additionalProperties": False,
                    "properties": {
                        "file": {"type": "string", "format": "binary"},
                        "purpose": {"type": "string", "enum": list(PURPOSES)},
                        "expires_after[anchor]": {"type": "string", "enum": ["created_at"]},
                        "expires_after[seconds]": {
                            "type": "integer", "minimum": HOUR, "maximum": MONTH,
                        },
                    },
                }
            }
        },
    }
}  # fmt: skip


@router.post("/v1/files", openapi_extra=FORM)
async def create_file(request: Request) -> Response:
    """Keep a file."""
    desk = Desk(request)
    desk.require("batch")
    form = read_form(request.headers.get("content-type", ""), await desk.body())
    for name in form:
        if name not in ("file", "purpose", "expires_after[anchor]", "expires_after[seconds]"):
            raise InvalidRequestError(name, "there is no such field here")
    purpose = _field(form, "purpose").text("purpose")
    if purpose not in PURPOSES:
        raise InvalidRequestError(
            "purpose",
            f"is {purpose!r:.40}, for which nothing here takes files",
            remedy="Say batch.",
        )
    file = _field(form, "file")
    upload = await asyncio.to_thread(
        desk.studio.records.uploads.put,
        file.data,
        filename=file.filename or "upload",
        purpose=purpose,
        key=desk.context.caller.id or None,
        expires=_expires(form),
        limit=desk.studio.settings.uploads,
    )
    return Json(written(upload))


@router.get("/v1/files")
async def list_files(request: Request) -> Response:
    """The caller's files, the newest first."""
    desk = Desk(request)
    desk.require("batch")
    paging.check(request, "purpose", "limit", "after", "order")
    page = paging.asked(request, default=10_000, most=10_000)
    found = await asyncio.to_thread(
        desk.studio.records.uploads.list,
        desk.context.caller.id or None,
        purpose=paging.word(request, "purpose"),
        after=page.after,
        limit=page.limit + 1,
    )
    return Json(paging.written([written(each) for each in found], page))


@router.get("/v1/files/{id}")
async def retrieve_file(request: Request, id: str) -> Response:
    """What is known of a file."""
    desk = Desk(request)
    desk.require("batch")
    return Json(written(await find(desk, id)))


@router.get(
    "/v1/files/{id}/content",
    response_class=FileResponse,
    responses={200: {"content": {"application/octet-stream": {}}}},
)
async def retrieve_content(request: Request, id: str) -> Response:
    """The bytes of a file."""
    desk = Desk(request)
    desk.require("batch")
    upload = await find(desk, id)
    path = await asyncio.to_thread(desk.studio.records.uploads.path, upload)
    return FileResponse(
        path,
        media_type="application/octet-stream",
        filename=upload.filename,
        headers={"x-content-type-options": "nosniff"},
    )


@router.delete("/v1/files/{id}")
async def delete_file(request: Request, id: str) -> Response:
    """Delete a file; a batch that has begun with it goes on."""
    desk = Desk(request)
    desk.require("batch")
    uploads, key = desk.studio.records.uploads, desk.context.caller.id or None
    if not (paging.is_id(id) and await asyncio.to_thread(uploads.delete, id, key)):
        raise _unknown(id)
    return Json({"id": id, "object": "file", "deleted": True})


async def find(desk: Desk, id: str) -> Upload:
    """The caller's file ``id``; raises :class:`NotFoundError`."""
    key = desk.context.caller.id or None
    uploads = desk.studio.records.uploads
    upload = await asyncio.to_thread(uploads.find, id, key) if paging.is_id(id) else None
    if upload is None:
        raise _unknown(id)
    return upload


def written(upload: Upload) -> dict[str, Any]:
    """A file, as the API has it."""
    return {
        "id": upload.id,
        "object": "file",
        "bytes": upload.bytes,
        "created_at": int(upload.created),
        "expires_at": None if upload.expires is None else int(upload.expires),
        "filename": upload.filename,
        "purpose": upload.purpose,
        "status": "processed",
        "status_details": None,
    }


def _field(form: Mapping[str, Part], name: str) -> Part:
    if name not in form:
        raise InvalidRequestError(name, "is missing")
    return form[name]


def _expires(form: Mapping[str, Part]) -> float | None:
    """When the file is to go, in Unix seconds."""
    anchor, seconds = (f"expires_after[{each}]" for each in ("anchor", "seconds"))
    if anchor not in form and seconds not in form:
        return None
    if _field(form, anchor).text(anchor) != "created_at":
        raise InvalidRequestError(anchor, "must be created_at")
    return time.time() + whole_number(seconds, _field(form, seconds).text(seconds), HOUR, MONTH)


def _unknown(id: str) -> NotFoundError:
    return NotFoundError(f"there is no file {id!r:.60}")
