"""The OpenAI API over HTTP. What its bodies say is read and written by ``task/openai``."""

from __future__ import annotations

from studiolo.server.dialects import Dialect
from studiolo.server.openai.shapes import ANSWERS, ERROR
from studiolo.task.openai.errors import body_of

OPENAI = Dialect(
    name="openai",
    prefixes=("/",),
    body=lambda error, request: body_of(error),
    headers=lambda request: {"x-request-id": request},
    answers=ANSWERS,
    error=ERROR,
)
