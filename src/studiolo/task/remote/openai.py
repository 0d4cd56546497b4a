"""Models elsewhere that speak the OpenAI API: chat completions, completions, embeddings.

Answers are always streamed, so that an upstream that has gone quiet is noticed. What the API
itself does not have (``top_k``, ``regex`` …) is sent only to an upstream that is said to take it,
and refused by name otherwise. Source: OpenAI API reference, "Chat Completions", "Completions".
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import TextAsk
from studiolo.task.remote.messages import for_openai
from studiolo.task.remote.openai_reader import OpenAIReader
from studiolo.task.remote.settings import Remote
from studiolo.task.remote.wire import Reader, sendable

STANDARD = (
    *("temperature", "top_p", "presence_penalty", "frequency_penalty", "logit_bias"),
    *("max_tokens", "n", "seed", "stop", "log_probs"),
)


class OpenAIWire:
    """As :class:`studiolo.task.remote.wire.Wire`."""

    def headers(self, key: str | None) -> dict[str, str]:
        """The key as a bearer."""
        return {} if key is None else {"authorization": f"Bearer {key}"}

    def request(self, ask: TextAsk, remote: Remote) -> tuple[str, dict[str, Any]]:
        """Path and body."""
        chat = ask.messages is not None
        known = {*STANDARD, *remote.accepts, *(["json_schema"] if chat else [])}
        options = sendable(ask.options, known, ask.model)
        if ask.echo:
            raise InvalidRequestError(
                "echo", f"with logprobs is not known of {ask.model}, elsewhere"
            )
        if ask.begun:
            raise InvalidRequestError("begun", f"{ask.model} is elsewhere, and begins anew")
        body: dict[str, Any] = {
            "model": remote.model,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if "max_tokens" in options and "max_completion_tokens" in remote.accepts:
            options["max_completion_tokens"] = options.pop("max_tokens")
        log_probs = options.pop("log_probs", None)
        if not chat:
            body |= {"prompt": ask.prompt, **options}
            if ask.suffix is not None:
                body["suffix"] = ask.suffix
            if log_probs is not None:
                body["logprobs"] = log_probs
            return "/completions", body
        body["messages"] = for_openai(ask.messages or ())
        if (schema := options.pop("json_schema", None)) is not None:
            body["response_format"] = _format(schema)
        body |= options
        if log_probs is not None:
            body |= {"logprobs": True, "top_logprobs": log_probs}
        if ask.tools:
            body |= {"tools": list(ask.tools), "tool_choice": _choice(ask.tool_choice)}
            if not ask.parallel:
                body["parallel_tool_calls"] = False
        return "/chat/completions", body

    def reader(self, ask: TextAsk) -> Reader:
        """For the answer to that request."""
        return OpenAIReader(ask)


def _format(schema: object) -> dict[str, Any]:
    if isinstance(schema, str):
        try:
            schema = json.loads(schema)
        except (ValueError, RecursionError):
            schema = None
    if not isinstance(schema, Mapping):
        raise InvalidRequestError("json_schema", "must be an object for a model elsewhere")
    if schema == {"type": "object"}:
        return {"type": "json_object"}
    return {
        "type": "json_schema",
        "json_schema": {"name": "answer", "schema": schema, "strict": True},
    }


def _choice(choice: str) -> object:
    if choice in ("auto", "none", "required"):
        return choice
    return {"type": "function", "function": {"name": choice}}
