"""Answers as the Ollama API writes them: whole, or a line of JSON at a time.

Times are in nanoseconds, and measured: in all since the request came, until the model was open,
until the first token (which includes waiting for a turn), and from there to the last. What was not
measured is not there.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from studiolo.server.replies import line
from studiolo.task.asking import Answer, Called, Choice, Ended, Outcome, Piece, Reason, Scored
from studiolo.task.openai.fields import entry

NDJSON = "application/x-ndjson"


@dataclass(frozen=True)
class Head:
    """What every answer tells of its request.

    ``model``: as the client called it. ``chat``: whether the answer is a message. ``clock``: of
    ``perf_counter``, when the request came. ``load``: seconds until the model was open.
    """

    model: str
    chat: bool
    clock: float
    load: float | None = None


def whole(head: Head, choices: Sequence[Choice], outcome: Outcome) -> dict[str, Any]:
    """The body of an answer that is complete."""
    (choice,) = choices
    return {
        **_part(head, choice.text, choice.calls, choice.scores),
        **_end(head, choice.reason, outcome),
    }


async def lines(head: Head, answer: Answer) -> AsyncIterator[bytes]:
    """The lines of an answer as it comes."""
    reason: Reason = "stop"
    async for event in answer:
        match event:
            case Piece(text=text, scores=scores) if text or scores:
                yield written({**_part(head, text, (), scores), "done": False})
            case Called():
                yield written({**_part(head, "", [event], ()), "done": False})
            case Ended():
                reason = event.reason
    yield written({**_part(head, "", (), ()), **_end(head, reason, answer.outcome)})


def empty(head: Head, reason: str) -> dict[str, Any]:
    """The answer to a request that asks for no text: the model was opened, or closed."""
    return {**_part(head, "", (), ()), "done": True, "done_reason": reason}


def written(value: dict[str, Any]) -> bytes:
    """One line."""
    return line(value) + b"\n"


def nanoseconds(seconds: float) -> int:
    """Ollama's unit of time."""
    return round(seconds * 1e9)


def _part(
    head: Head, text: str, calls: Sequence[Called], scores: Sequence[Scored]
) -> dict[str, Any]:
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    part: dict[str, Any] = {"model": head.model, "created_at": now}
    if head.chat:
        told = {"tool_calls": [_call(called) for called in calls]} if calls else {}
        part["message"] = {"role": "assistant", "content": text, **told}
    else:
        part["response"] = text
    if scores:
        part["logprobs"] = [
            {**entry(each), "top_logprobs": [entry(other) for other in each.top]} for each in scores
        ]
    return part


def _call(called: Called) -> dict[str, Any]:
    call = called.call
    function = {"index": called.place, "name": call.name, "arguments": call.arguments}
    return {"id": called.id, "function": function}


def _end(head: Head, reason: Reason, outcome: Outcome) -> dict[str, Any]:
    end: dict[str, Any] = {
        "done": True,
        "done_reason": "length" if reason == "length" else "stop",
        "total_duration": nanoseconds(time.perf_counter() - head.clock),
        "prompt_eval_count": outcome.prompt_tokens,
        "eval_count": outcome.completion_tokens,
    }
    if head.load is not None:
        end["load_duration"] = nanoseconds(head.load)
    if outcome.seconds_to_first is not None:
        end["prompt_eval_duration"] = nanoseconds(outcome.seconds_to_first)
        end["eval_duration"] = nanoseconds(outcome.seconds - outcome.seconds_to_first)
    return end
