"""A conversation and its tools as ``Converse`` writes them, and as chat templates know them.

What a block holds beside text and tools (pictures, documents, reasoning …) no model here reads: it
is refused by name. A ``cachePoint`` is a hint, and needless: what prompts begin with is kept
unasked. What one speaker says without a break is one message: texts of the user or the system are
joined by line breaks, those of the assistant as they are, for they are parts of one answer.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock.dials import Shape
from studiolo.task.asking import Message


class OneOf(Shape):
    """A union of AWS's: a structure of which one member is given."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        fields = type(self).model_fields
        if sum(getattr(self, name) is not None for name in fields) != 1:
            names = ", ".join(str(field.alias) for field in fields.values())
            raise PydanticCustomError("one_of", f"must hold one of {names}")
        return self


class CachePoint(Shape):
    """Where what has been said so far might be kept."""

    type: Literal["default"]
    ttl: Literal["5m", "1h"] | None = None


class SystemBlock(OneOf):
    """A part of what the model is told before the conversation."""

    text: str | None = Field(None, min_length=1)
    cache_point: CachePoint | None = None


class ConverseToolUse(Shape):
    """A call that the assistant made; ``input`` is an object."""

    tool_use_id: str = Field(min_length=1, max_length=64)
    name: str
    input: dict[str, Any]


class ConverseToolResultContent(OneOf):
    """A part of what a tool gave."""

    json_: Any = Field(None, alias="json")
    text: str | None = None


class ConverseToolResult(Shape):
    """What a called tool gave."""

    tool_use_id: str = Field(min_length=1, max_length=64)
    content: list[ConverseToolResultContent]
    status: Literal["success", "error"] | None = None


class ContentBlock(OneOf):
    """A part of a message."""

    text: str | None = None
    tool_use: ConverseToolUse | None = None
    tool_result: ConverseToolResult | None = None
    cache_point: CachePoint | None = None


class ConverseMessage(Shape):
    """What one side says."""

    role: Literal["user", "assistant", "system"]
    content: list[ContentBlock] = Field(min_length=1)


def conversation(
    system: Sequence[SystemBlock] | None, messages: Sequence[ConverseMessage]
) -> list[Message]:
    """The messages for a chat template. Raises :class:`InvalidRequestError`."""
    told: list[dict[str, Any]] = []
    called: dict[str, str] = {}
    if texts := [block.text for block in system or () if block.text is not None]:
        told.append({"role": "system", "content": "\n".join(texts)})
    for place, message in enumerate(messages):
        if message.role == "assistant":
            _all_answered(called, f"messages.{place}")
        said = list(_said(message, f"messages.{place}.content", called))
        if not said:
            raise InvalidRequestError(f"messages.{place}.content", "holds nothing but a cachePoint")
        for each in said:
            last = told[-1] if told else {}
            if each["role"] == last.get("role") != "tool":
                _join(last, each)
            else:
                told.append(each)
    _all_answered(called, "messages")
    return list(told)


def _said(message: ConverseMessage, field: str, called: dict[str, str]) -> Iterator[dict[str, Any]]:
    """A message of each block; ``called``: names of tools whose results are to come, by id."""
    role = message.role
    for i, block in enumerate(message.content):
        if block.text is not None:
            yield {"role": role, "content": block.text}
        elif (use := block.tool_use) is not None:
            if role != "assistant":
                raise _misplaced(f"{field}.{i}.toolUse", "assistant")
            called[use.tool_use_id] = use.name
            function = {"name": use.name, "arguments": use.input}
            call = {"id": use.tool_use_id, "type": "function", "function": function}
            yield {"role": role, "content": "", "tool_calls": [call]}
        elif block.tool_result is not None:
            if role != "user":
                raise _misplaced(f"{field}.{i}.toolResult", "user")
            yield _result(block.tool_result, f"{field}.{i}.toolResult", called)


def _result(block: ConverseToolResult, field: str, called: dict[str, str]) -> dict[str, Any]:
    """What the tool gave; templates have no place for a status, so a failure is said."""
    name = called.pop(block.tool_use_id, None)
    if name is None:
        raise InvalidRequestError(
            f"{field}.toolUseId",
            f"{block.tool_use_id!r:.80} is no toolUse of the assistant's message before",
        )
    text = "\n".join(
        json.dumps(part.json_, ensure_ascii=False) if part.text is None else part.text
        for part in block.content
    )
    return {
        "role": "tool",
        "content": f"Error: {text}" if block.status == "error" else text,
        "name": name,
        "tool_call_id": block.tool_use_id,
    }


def _join(last: dict[str, Any], more: dict[str, Any]) -> None:
    """Let ``last`` go on with ``more``, of the same speaker."""
    between = "" if more["role"] == "assistant" else "\n"
    last["content"] = between.join(text for text in (last["content"], more["content"]) if text)
    if "tool_calls" in more:
        last["tool_calls"] = [*last.get("tool_calls", ()), *more["tool_calls"]]


def _all_answered(called: dict[str, str], field: str) -> None:
    if called:
        raise InvalidRequestError(
            field, f"the toolUse {next(iter(called))!r:.80} has no toolResult after it"
        )


def _misplaced(field: str, role: str) -> InvalidRequestError:
    return InvalidRequestError(field, f"belongs into a message whose role is {role}")
