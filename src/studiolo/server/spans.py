"""What an answer's span says: OpenTelemetry's semantic conventions for generative AI, as values.

Source: opentelemetry.io, "Semantic conventions for generative AI systems" (spans, messages). Knows
neither the SDK nor who asks; contents are another matter than the rest, and asked for apart.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from studiolo.task.asking import Choice, Message, Outcome, TextAsk

Value = str | int | float | bool | Sequence[str]
DIALS = (
    *("temperature", "top_p", "top_k", "max_tokens", "seed"),
    *("frequency_penalty", "presence_penalty"),
)


def operation(ask: TextAsk) -> str:
    """``chat`` or ``text_completion``."""
    return "text_completion" if ask.messages is None else "chat"


def asked(ask: TextAsk) -> dict[str, Value]:
    """What is known when an answer is begun."""
    options = ask.options
    found: dict[str, Value] = {
        "gen_ai.operation.name": operation(ask),
        "gen_ai.provider.name": "studiolo",
        "gen_ai.request.model": ask.model,
        "gen_ai.output.type": "json" if options.get("json_schema") is not None else "text",
    }
    for name in DIALS:
        if (value := options.get(name)) is not None:
            found[f"gen_ai.request.{name}"] = value
    if (stop := options.get("stop")) and stop is not None:
        found["gen_ai.request.stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    if (n := options.get("n")) not in (None, 1):
        found["gen_ai.request.choice.count"] = int(str(n))
    return found


def answered(model: str, outcome: Outcome, reasons: Sequence[str]) -> dict[str, Value]:
    """What is known when it is over."""
    found: dict[str, Value] = {
        "gen_ai.response.model": model,
        "gen_ai.response.finish_reasons": list(reasons),
        "gen_ai.usage.input_tokens": outcome.prompt_tokens,
        "gen_ai.usage.output_tokens": outcome.completion_tokens,
        "gen_ai.usage.cache_read.input_tokens": outcome.cached_tokens,
    }
    if outcome.seconds_to_first is not None:
        found["gen_ai.response.time_to_first_chunk"] = outcome.seconds_to_first
    return found


def contents_asked(ask: TextAsk) -> dict[str, Value]:
    """What somebody said, for who wants that in traces."""
    if ask.messages is None:
        parts = [
            _text(each if isinstance(each, str) else " ".join(map(str, each or ())))
            for each in (ask.prompt, *ask.others)
        ]
        return {"gen_ai.input.messages": _json([{"role": "user", "parts": parts}])}
    system = [each for each in ask.messages if each["role"] == "system"]
    others = [each for each in ask.messages if each["role"] != "system"]
    if ask.begun_text:
        others.append({"role": "assistant", "content": ask.begun_text})
    found: dict[str, Value] = {
        "gen_ai.input.messages": _json(
            [{"role": each["role"], "parts": _parts(each)} for each in others]
        )
    }
    if system:
        parts = [part for each in system for part in _parts(each)]
        found["gen_ai.system_instructions"] = _json(parts)
    if ask.tools:
        found["gen_ai.tool.definitions"] = _json([_tool(tool) for tool in ask.tools])
    return found


def contents_answered(choices: Sequence[Choice]) -> dict[str, Value]:
    """What was answered."""
    messages = []
    for choice in choices:
        parts = [_text(choice.text)] if choice.text else []
        for called in choice.calls:
            call = called.call
            parts.append(_call(called.id, call.name, call.arguments))
        reason = "tool_call" if choice.reason == "tool_calls" else choice.reason
        messages.append({"role": "assistant", "parts": parts, "finish_reason": reason})
    return {"gen_ai.output.messages": _json(messages)}


def _parts(message: Message) -> list[dict[str, Any]]:
    content = message.get("content")
    text = content if isinstance(content, str) else ""
    if message["role"] == "tool":
        id = message.get("tool_call_id")
        return [{"type": "tool_call_response", "id": id, "response": text}]
    parts = [_text(text)] if text else []
    calls = message.get("tool_calls")
    for call in calls if isinstance(calls, Sequence) else ():
        function = call["function"]
        parts.append(_call(call["id"], function["name"], function["arguments"]))
    return parts


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "content": text}


def _call(id: str, name: str, arguments: object) -> dict[str, Any]:
    return {"type": "tool_call", "id": id, "name": name, "arguments": arguments}


def _tool(tool: Message) -> dict[str, Any]:
    function = tool["function"]
    return {"type": "function", **(function if isinstance(function, Mapping) else {})}


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
