"""The application: routes of every dialect over one studio, behind one reception."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from studiolo.errors import InvalidRequestError, NotFoundError, StudioloError
from studiolo.server import explore, health
from studiolo.server.anthropic import ANTHROPIC
from studiolo.server.anthropic import messages as anthropic_messages
from studiolo.server.context import context_of
from studiolo.server.dialects import Dialect, dialect_of
from studiolo.server.openai import OPENAI
from studiolo.server.openai import models as openai_models
from studiolo.server.openai import responses as openai_responses
from studiolo.server.openai import texts as openai_texts
from studiolo.server.page import assets as page_assets
from studiolo.server.reception import Reception
from studiolo.server.schema import described
from studiolo.server.studio import Studio

DIALECTS: Sequence[Dialect] = (OPENAI, ANTHROPIC)
ROUTERS: Sequence[APIRouter] = (
    health.router,
    openai_texts.router,
    openai_models.router,
    openai_responses.router,
    anthropic_messages.router,
    explore.router,
    page_assets.router,
)


def build(studio: Studio) -> FastAPI:
    """The application that serves ``studio``; closing that is the caller's business."""
    app = FastAPI(
        title="Studiolo",
        version=version("studiolo"),
        docs_url=None,
        redoc_url=None,
        openapi_url="/openapi.json",
    )
    app.state.studio = studio
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = partial(described, app)  # type: ignore[method-assign]
    app.add_exception_handler(StudioloError, _refused)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_middleware(Reception, studio=studio, dialects=DIALECTS)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    context = context_of(request)
    context.error = type(error).__name__
    return dialect_of(request.url.path, DIALECTS).refusal(error, context.id)


async def _unknown(request: Request, error: Exception) -> Response:
    """What the framework itself says: no such address, or not by this method."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    address = f"{request.method} {request.url.path}"[:200]
    if status == 405:
        told: StudioloError = InvalidRequestError(
            "method", f"{address}: this address is asked by another method"
        )
    else:
        told = NotFoundError(f"{address}: there is no such address here")
    return await _refused(request, told)
