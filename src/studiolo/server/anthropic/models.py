"""``/v1/models`` as the Anthropic API tells of it, for requests with its header.

The address is OpenAI's too, whose route hands over to this one. Source: Anthropic API reference,
"Models".
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import Any

from fastapi import Request
from starlette.responses import Response

from studiolo.bundle import store
from studiolo.errors import InvalidRequestError, UnknownModelError
from studiolo.server.desk import whole_number
from studiolo.server.replies import Json


async def answer(
    request: Request, usable: list[tuple[str, int, str]], model: str | None
) -> Response:
    """All models of ``usable`` (name, since when, whose), a page of them, or ``model`` alone."""
    return Json(await asyncio.to_thread(_told, request, usable, model))


def _told(
    request: Request, usable: list[tuple[str, int, str]], model: str | None
) -> dict[str, Any]:
    newest = sorted(usable, key=lambda each: (-each[1], each[0]))
    if model is None:
        return _page(request, newest)
    for name, created, _ in newest:
        if name == model:
            return _written(name, created)
    raise UnknownModelError(model, [name for name, _, _ in newest])


def _page(request: Request, newest: list[tuple[str, int, str]]) -> dict[str, Any]:
    query = request.query_params
    names = [name for name, _, _ in newest]
    limit = whole_number("limit", query.get("limit", "20"), 1, 1000)
    start, end = 0, len(newest)
    if (after := query.get("after_id")) is not None:
        start = _place("after_id", after, names) + 1
    if (before := query.get("before_id")) is not None:
        end = _place("before_id", before, names)
        start = max(start, end - limit)
    stages = query.getlist("lifecycle[]")
    if stages and "active" not in stages:  # which all are
        start = end
    shown = newest[start:end][:limit]
    return {
        "data": [_written(name, created) for name, created, _ in shown],
        "has_more": start > 0 if before is not None else start + len(shown) < end,
        "first_id": shown[0][0] if shown else None,
        "last_id": shown[-1][0] if shown else None,
    }


def _place(field: str, name: str, names: list[str]) -> int:
    if name not in names:
        raise InvalidRequestError(field, f"{name!r:.80} is no model's name")
    return names.index(name)


def _written(name: str, created: int) -> dict[str, Any]:
    bundle = store.find(name)
    known = None if bundle is None else bundle.manifest.context_length
    return {
        "type": "model",
        "id": name,
        "display_name": name,
        "created_at": datetime.fromtimestamp(created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "max_input_tokens": known,
        "max_tokens": known,
    }
