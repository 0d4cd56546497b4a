"""A conversation as upstreams want it; here it stands in the form that chat templates know."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from studiolo.errors import InvalidRequestError
from studiolo.task.asking import Message


def for_openai(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """As the OpenAI API has it: the arguments of calls are JSON text."""
    return [
        {**message, "tool_calls": [_call(call) for call in calls]}
        if (calls := calls_of(message))
        else dict(message)
        for message in messages
    ]


def for_anthropic(messages: Sequence[Message]) -> tuple[str, list[dict[str, Any]]]:
    """The system's text, and the turns of user and assistant, each a list of blocks.

    What tools gave is the user's there. Raises :class:`InvalidRequestError` for a system message
    after the beginning, which has no place there.
    """
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    for i, message in enumerate(messages):
        role, text = message["role"], _text(message)
        if role == "system":
            if turns:
                raise InvalidRequestError(
                    f"messages.{i}.role", "a model of this kind hears the system only at first"
                )
            system.append(text)
            continue
        blocks: list[dict[str, Any]]
        if role == "tool":
            id = message.get("tool_call_id")
            blocks = [{"type": "tool_result", "tool_use_id": id, "content": text}]
        else:
            blocks = [{"type": "text", "text": text}] if text else []
            for call in calls_of(message):
                function = call["function"]
                blocks.append(
                    {
                        "type": "tool_use",
                        "id": call["id"],
                        "name": function["name"],
                        "input": function["arguments"],
                    }
                )
        speaker = "assistant" if role == "assistant" else "user"
        if turns and turns[-1]["role"] == speaker:
            turns[-1]["content"] += blocks
        else:
            turns.append({"role": speaker, "content": blocks})
    return "\n\n".join(system), turns


def calls_of(message: Message) -> list[Mapping[str, Any]]:
    """The calls of tools in ``message``."""
    calls = message.get("tool_calls")
    return list(calls) if isinstance(calls, list) else []


def _call(call: Mapping[str, Any]) -> dict[str, Any]:
    function = call["function"]
    arguments = json.dumps(function["arguments"], ensure_ascii=False)
    return {**call, "function": {**function, "arguments": arguments}}


def _text(message: Message) -> str:
    content = message.get("content")
    return content if isinstance(content, str) else ""
