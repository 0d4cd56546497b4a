"""The application: routes of every dialect over one studio, behind one reception."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.metadata import version

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from studiolo.errors import InvalidRequestError, NotFoundError, StudioloError
from studiolo.server import explore, health
from studiolo.server.anthropic import ANTHROPIC
from studiolo.server.anthropic import messages as anthropic_messages
from studiolo.server.bedrock import BEDROCK
from studiolo.server.bedrock import conversations as bedrock_conversations
from studiolo.server.bedrock import counting as bedrock_counting
from studiolo.server.bedrock import invocations as bedrock_invocations
from studiolo.server.bedrock import models as bedrock_models
from studiolo.server.context import context_of
from studiolo.server.dialects import Dialect, MethodError, dialect_of
from studiolo.server.energy import Meter, Metered
from studiolo.server.management import STUDIOLO
from studiolo.server.management import keys as management_keys
from studiolo.server.management import machine as management_machine
from studiolo.server.management import models as management_models
from studiolo.server.management import pulling as management_pulling
from studiolo.server.management import usage as management_usage
from studiolo.server.metrics import Counted, Metrics
from studiolo.server.metrics import router as metrics_router
from studiolo.server.ollama import OLLAMA
from studiolo.server.ollama import managing as ollama_managing
from studiolo.server.ollama import models as ollama_models
from studiolo.server.ollama import texts as ollama_texts
from studiolo.server.ollama import vectors as ollama_vectors
from studiolo.server.openai import OPENAI
from studiolo.server.openai import batches as openai_batches
from studiolo.server.openai import files as openai_files
from studiolo.server.openai import models as openai_models
from studiolo.server.openai import moderations as openai_moderations
from studiolo.server.openai import receipts as openai_receipts
from studiolo.server.openai import responses as openai_responses
from studiolo.server.openai import texts as openai_texts
from studiolo.server.page import assets as page_assets
from studiolo.server.pulls import Pulls
from studiolo.server.reception import Reception
from studiolo.server.schema import described
from studiolo.server.studio import Studio
from studiolo.server.tracing import Traced, TracedHouse

DIALECTS: Sequence[Dialect] = (OPENAI, ANTHROPIC, BEDROCK, OLLAMA, STUDIOLO)
ROUTERS: Sequence[APIRouter] = (
    health.router,
    openai_texts.router,
    openai_models.router,
    openai_responses.router,
    openai_files.router,
    openai_batches.router,
    openai_moderations.router,
    openai_receipts.router,
    anthropic_messages.router,
    bedrock_conversations.router,
    bedrock_invocations.router,
    bedrock_counting.router,
    bedrock_models.router,
    ollama_texts.router,
    ollama_vectors.router,
    ollama_models.router,
    ollama_managing.router,
    management_models.router,
    management_pulling.router,
    management_machine.router,
    management_usage.router,
    management_keys.router,
    metrics_router,
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
        redirect_slashes=False,
    )
    app.state.studio = studio
    app.state.pulls = Pulls()
    app.state.meter = Meter.of(studio.settings.watts, studio.house.elsewhere)
    app.state.metrics = Metrics(studio)
    for router in ROUTERS:
        app.include_router(router)
    app.openapi = partial(described, app, DIALECTS)  # type: ignore[method-assign]
    app.add_exception_handler(StudioloError, _refused)
    app.add_exception_handler(HTTPException, _unknown)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_middleware(Metered, meter=app.state.meter)
    app.add_middleware(Reception, studio=studio, dialects=DIALECTS)
    app.add_middleware(Counted, metrics=app.state.metrics)
    if isinstance(studio.house, TracedHouse):
        app.add_middleware(Traced, tracing=studio.house.tracing)
    return app


async def _refused(request: Request, error: Exception) -> Response:
    context = context_of(request)
    context.failed(error)
    dialect = dialect_of(request.url.path, DIALECTS, request.headers)
    return dialect.refusal(error, context.id)


async def _unknown(request: Request, error: Exception) -> Response:
    """What the framework itself says: no such address, or not by this method."""
    address = f"{request.method[:20]} {request.url.path[:200]}"
    if isinstance(error, HTTPException) and error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        return await _refused(request, MethodError(address, allowed))
    return await _refused(request, NotFoundError(f"{address}: there is no such address here"))


async def _invalid(request: Request, error: Exception) -> Response:
    """A parameter of an address or a query that the framework has read."""
    first = error.errors()[0] if isinstance(error, RequestValidationError) else {}
    field = str(first.get("loc", ("request",))[-1])
    return await _refused(request, InvalidRequestError(field, str(first.get("msg", "is wrong"))))
