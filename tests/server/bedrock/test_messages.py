"""Conversations become what chat templates know."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import Field

from studiolo.errors import InvalidRequestError
from studiolo.server.bedrock.dials import Shape
from studiolo.server.bedrock.messages import ConverseMessage, SystemBlock, conversation
from studiolo.task.asking import Message
from studiolo.task.openai.fields import parse


class Asked(Shape):
    messages: list[ConverseMessage] = Field(min_length=1)
    system: list[SystemBlock] | None = None


def told(messages: list[Any], system: list[Any] | None = None) -> list[Message]:
    body = parse(Asked, {"messages": messages, "system": system})
    return conversation(body.system, body.messages)


def said(role: str, *content: Any) -> dict[str, Any]:
    return {"role": role, "content": list(content)}


USE = {"toolUse": {"toolUseId": "t1", "name": "weather", "input": {"city": "Rome"}}}
POINT = {"cachePoint": {"type": "default"}}


def result(*content: Any, id: str = "t1", **more: Any) -> dict[str, Any]:
    return {"toolResult": {"toolUseId": id, "content": list(content), **more}}


def test_texts_are_joined_by_speaker() -> None:
    messages = [
        said("user", {"text": "a"}, POINT, {"text": "b"}),
        said("assistant", {"text": "c"}, {"text": "d"}),
        said("user", {"text": "e"}),
        said("user", {"text": "f"}),
    ]
    assert told(messages, [{"text": "s"}, POINT, {"text": "t"}]) == [
        {"role": "system", "content": "s\nt"},
        {"role": "user", "content": "a\nb"},
        {"role": "assistant", "content": "cd"},
        {"role": "user", "content": "e\nf"},
    ]


def test_tools_are_called_and_give() -> None:
    other = {"toolUse": {"toolUseId": "t2", "name": "clock", "input": {}}}
    messages = [
        said("user", {"text": "a"}),
        said("assistant", {"text": "b"}, USE, other),
        said(
            "user",
            result({"text": "wet"}, {"json": {"grad": 7}}),
            result({"text": "no"}, id="t2", status="error"),
            {"text": "c"},
        ),
    ]
    calls = [
        {
            "id": "t1",
            "type": "function",
            "function": {"name": "weather", "arguments": {"city": "Rome"}},
        },
        {"id": "t2", "type": "function", "function": {"name": "clock", "arguments": {}}},
    ]
    assert told(messages) == [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "b", "tool_calls": calls},
        {"role": "tool", "content": 'wet\n{"grad": 7}', "name": "weather", "tool_call_id": "t1"},
        {"role": "tool", "content": "Error: no", "name": "clock", "tool_call_id": "t2"},
        {"role": "user", "content": "c"},
    ]


PICTURE = {"image": {"format": "png", "source": {"bytes": "AA=="}}}


@pytest.mark.parametrize(
    ("messages", "field"),
    [
        ([], "messages"),
        ([{"role": "user"}], "messages.0.content"),
        ([said("user")], "messages.0.content"),
        ([said("tool", {"text": "a"})], "messages.0.role"),
        ([said("user", {"text": 1})], "messages.0.content.0.text"),
        ([said("user", {})], "messages.0.content.0"),
        ([said("user", {"text": "a", "cachePoint": {"type": "default"}})], "messages.0.content.0"),
        ([said("user", PICTURE)], "messages.0.content.0.image"),
        ([said("user", {"document": {"name": "d"}})], "messages.0.content.0.document"),
        ([said("user", {"video": {}})], "messages.0.content.0.video"),
        ([said("user", {"guardContent": {}})], "messages.0.content.0.guardContent"),
        ([said("user", {"reasoningContent": {}})], "messages.0.content.0.reasoningContent"),
        ([said("user", {"cachePoint": {"type": "x"}})], "messages.0.content.0.cachePoint.type"),
        ([said("user", POINT)], "messages.0.content"),
        ([said("user", USE)], "messages.0.content.0.toolUse"),
        ([said("assistant", USE), said("user", {"text": "a"})], "messages"),
        ([said("assistant", USE), said("assistant", {"text": "a"})], "messages.1"),
        ([said("user", result({"text": "a"}))], "messages.0.content.0.toolResult.toolUseId"),
        ([said("assistant", result({"text": "a"}))], "messages.0.content.0.toolResult"),
        (
            [said("assistant", USE), said("user", result(PICTURE))],
            "messages.1.content.0.toolResult.content.0.image",
        ),
        (
            [said("assistant", {"toolUse": {"toolUseId": "t", "name": "n", "input": []}})],
            "messages.0.content.0.toolUse.input",
        ),
    ],
)
def test_what_is_wrong_is_named(messages: list[Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        told(messages)
    assert wrong.value.field == field


def test_the_system_says_text() -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        told([said("user", {"text": "a"})], [{"guardContent": {"text": {"text": "x"}}}])
    assert wrong.value.field == "system.0.guardContent"
    messages = [said("user", {"text": "a"}), said("system", {"text": "b"})]
    assert [each["role"] for each in told(messages)] == ["user", "system"]
