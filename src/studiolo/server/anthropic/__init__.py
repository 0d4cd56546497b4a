"""The Anthropic Messages API over HTTP. Source: Anthropic API reference, "Messages", "Errors".

``bodies`` is what clients send, ``conversation`` makes of it what models here are asked,
``answers`` writes what they are told, and ``messages`` and ``models`` are the addresses.
"""

from __future__ import annotations

from studiolo.server.anthropic.errors import Anthropic, body_of
from studiolo.server.anthropic.shapes import ANSWERS, ERROR

VERSION = "anthropic-version"
"""The header that every request of an Anthropic client has."""
ANTHROPIC = Anthropic(
    name="anthropic",
    prefixes=("/v1/messages",),
    body=body_of,
    headers=lambda request: {"request-id": request},
    answers=ANSWERS,
    error=ERROR,
    shared=("/v1/models",),
    sign=VERSION,
)
