"""The Ollama API over HTTP. Source: Ollama API reference (``docs/api.md`` of ollama/ollama).

``bodies`` is what clients send, ``asking`` makes of it what models here are asked, ``answers``
writes what they are told. The addresses are ``texts``, ``vectors``, ``models`` and ``managing``.
"""

from __future__ import annotations

from studiolo.server.dialects import Dialect
from studiolo.server.ollama.shapes import ANSWERS, ERROR
from studiolo.task.openai.errors import told

OLLAMA = Dialect(
    name="ollama",
    prefixes=("/api/",),
    body=lambda error, request: {"error": told(error)},
    headers=lambda request: {"x-request-id": request},
    answers=ANSWERS,
    error=ERROR,
    streams="application/x-ndjson",
)
