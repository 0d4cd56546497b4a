"""``/api/embed`` and ``/api/embeddings``: texts in, vectors out.

A text that is too long is refused, where Ollama would cut it unasked; vectors of both addresses
have the length that the model gives them, which is 1 for most.
"""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from studiolo.errors import InvalidRequestError
from studiolo.server.desk import Desk
from studiolo.server.ollama.answers import nanoseconds
from studiolo.server.ollama.bodies import OllamaEmbedBody, OllamaEmbeddingsBody
from studiolo.server.ollama.names import plain
from studiolo.server.ollama.opening import Closing, closes, opened
from studiolo.server.replies import Json
from studiolo.server.schema import takes
from studiolo.task.openai.fields import parse

router = APIRouter(tags=["Ollama"])


@router.post("/api/embed", openapi_extra=takes(OllamaEmbedBody))
async def embed(request: Request) -> Response:
    """Make vectors of texts."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(OllamaEmbedBody, await desk.body())
    texts = [body.input] if isinstance(body.input, str) else body.input
    vectors, tokens, load = await _vectors(
        desk, body, [] if texts == [""] else texts, truncate=bool(body.truncate)
    )
    if body.dimensions is not None and any(len(each) != body.dimensions for each in vectors):
        raise InvalidRequestError(
            "dimensions",
            f"must be {len(vectors[0])}, the width of {body.model}'s vectors, "
            f"not {body.dimensions}",
            remedy="Leave it out.",
        )
    told = {
        "model": body.model,
        "embeddings": vectors,
        "total_duration": nanoseconds(time.perf_counter() - desk.context.clock),
        "load_duration": nanoseconds(load),
        "prompt_eval_count": tokens,
    }
    return _replied(desk, body, told)


@router.post("/api/embeddings", openapi_extra=takes(OllamaEmbeddingsBody))
async def embeddings(request: Request) -> Response:
    """Make a vector of one text."""
    desk = Desk(request)
    desk.require("inference")
    body = parse(OllamaEmbeddingsBody, await desk.body())
    texts = [body.prompt] if body.prompt else []
    vectors, _, _ = await _vectors(desk, body, texts, truncate=False)
    return _replied(desk, body, {"embedding": vectors[0] if vectors else []})


async def _vectors(
    desk: Desk, body: OllamaEmbedBody | OllamaEmbeddingsBody, texts: list[str], *, truncate: bool
) -> tuple[list[list[float]], int, float]:
    """The vectors of ``texts``, how many tokens they have, and how long opening the model took."""
    closes(desk, body.keep_alive)
    name = desk.model(plain(body.model), encoder=True)
    await desk.admit()
    load = await opened(desk.studio.house, name) or 0.0
    if not texts:
        return [], 0, load
    vectors, tokens = await desk.embed(name, texts, truncate=truncate)
    # Nine digits are enough for any float32.
    return [[float(f"{x:.9g}") for x in each.tolist()] for each in vectors], tokens, load


def _replied(
    desk: Desk, body: OllamaEmbedBody | OllamaEmbeddingsBody, told: dict[str, Any]
) -> Response:
    reply = Json(told)
    if not closes(desk, body.keep_alive):
        return reply
    return Closing(reply, desk.studio.house, plain(body.model))
