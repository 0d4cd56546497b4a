"""The OpenAI API's words, without HTTP: bodies read, answers written.

A body that is read becomes what :mod:`studiolo.task.asking` defines, and its events become the body
or the stream of an answer. One module for each address; what they share is ``fields``.
"""

from __future__ import annotations

from typing import Literal

Url = Literal["/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/responses"]
CHAT: Url = "/v1/chat/completions"
COMPLETIONS: Url = "/v1/completions"
EMBEDDINGS: Url = "/v1/embeddings"
RESPONSES: Url = "/v1/responses"
URLS: tuple[Url, ...] = (CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES)
"""What a line of a batch may ask for."""
