"""Studiolo's own API, ``/studiolo/v1``: models, memory, usage, keys. Errors are as OpenAI's."""

from __future__ import annotations

from studiolo.server.dialects import Dialect
from studiolo.server.openai.shapes import ERROR
from studiolo.task.openai.errors import body_of

STUDIOLO = Dialect(
    name="studiolo",
    prefixes=("/studiolo/", "/metrics"),
    body=lambda error, request: body_of(error),
    headers=lambda request: {"x-request-id": request},
    error=ERROR,
)
