"""Answers as the Anthropic API writes them: whole, or as the events of a stream.

``input_tokens`` are those that had to be read, ``cache_read_input_tokens`` those that were known;
their sum is the prompt. Which they are is known at the end, so a stream begins with all of them as
``input_tokens`` and ends with both.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any

from studiolo.task.asking import Answer, Called, Choice, Ended, Outcome, Piece


@dataclass(frozen=True)
class Head:
    """What stands at the head of every answer."""

    id: str
    model: str


def whole(head: Head, choices: Sequence[Choice], outcome: Outcome) -> dict[str, Any]:
    """The body of an answer that is complete."""
    (choice,) = choices
    content: list[dict[str, Any]] = []
    if choice.text:
        content.append({"type": "text", "text": choice.text})
    content += [{**_call(called), "input": called.call.arguments} for called in choice.calls]
    end = Ended(0, choice.reason, choice.stop)
    return {**_head(head), "content": content, **_end(end), "usage": _usage(outcome)}


async def events(head: Head, answer: Answer) -> AsyncIterator[dict[str, Any]]:
    """The events of an answer as it comes; each one's ``type`` is its name."""
    usage = {
        "input_tokens": answer.prompt_tokens,
        "output_tokens": 0,
        "service_tier": "standard",
    }
    start = {**_head(head), "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**start, "usage": usage}}
    index, writing, pinged = 0, False, False
    end = Ended(0, "stop")
    async for event in answer:
        match event:
            case Piece(text=text) if text:
                if not writing:
                    writing = True
                    yield _started(index, {"type": "text", "text": ""})
                    if not pinged:
                        pinged = True
                        yield {"type": "ping"}
                yield _delta(index, {"type": "text_delta", "text": text})
            case Called():
                if writing:
                    yield {"type": "content_block_stop", "index": index}
                    index, writing = index + 1, False
                yield _started(index, {**_call(event), "input": {}})
                arguments = json.dumps(event.call.arguments, ensure_ascii=False)
                yield _delta(index, {"type": "input_json_delta", "partial_json": arguments})
                yield {"type": "content_block_stop", "index": index}
                index += 1
            case Ended():
                end = event
    if writing:
        yield {"type": "content_block_stop", "index": index}
    yield {"type": "message_delta", "delta": _end(end), "usage": _usage(answer.outcome)}
    yield {"type": "message_stop"}


def _head(head: Head) -> dict[str, Any]:
    return {"id": head.id, "type": "message", "role": "assistant", "model": head.model}


def _call(called: Called) -> dict[str, Any]:
    id = f"toolu_{called.id.removeprefix('call_')}"
    return {"type": "tool_use", "id": id, "name": called.call.name}


def _end(end: Ended) -> dict[str, Any]:
    if end.stop is not None and end.reason == "stop":
        return {"stop_reason": "stop_sequence", "stop_sequence": end.stop}
    reasons = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}
    return {"stop_reason": reasons[end.reason], "stop_sequence": None}


def _usage(outcome: Outcome) -> dict[str, Any]:
    return {
        "input_tokens": outcome.prompt_tokens - outcome.cached_tokens,
        "cache_creation_input_tokens": 0,  # what is kept costs nothing more
        "cache_read_input_tokens": outcome.cached_tokens,
        "output_tokens": outcome.completion_tokens,
        "service_tier": "standard",
    }


def _started(index: int, block: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def _delta(index: int, delta: dict[str, Any]) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": delta}
