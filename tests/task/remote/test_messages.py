"""Conversations as upstreams want them."""

from __future__ import annotations

from typing import Any

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.task.remote.messages import for_anthropic, for_openai

CALL: Any = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": {"x": "é"}}}
SAID: list[Any] = [
    {"role": "system", "content": "be brief"},
    {"role": "system", "content": "be kind"},
    {"role": "user", "content": "hello"},
    {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
    {"role": "tool", "content": "1", "tool_call_id": "c1"},
    {"role": "tool", "content": "2", "tool_call_id": "c2"},
    {"role": "user", "content": "and?"},
]


def test_for_openai_arguments_are_text() -> None:
    made = for_openai(SAID)
    assert made[3]["tool_calls"][0]["function"] == {"name": "f", "arguments": '{"x": "é"}'}
    assert [made[i] for i in (0, 1, 2, 4, 5, 6)] == [SAID[i] for i in (0, 1, 2, 4, 5, 6)]
    assert CALL["function"]["arguments"] == {"x": "é"}, "the original is left alone"


def test_for_anthropic_tools_answer_as_the_user() -> None:
    system, turns = for_anthropic(SAID)
    assert system == "be brief\n\nbe kind"
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"]
    assert turns[1]["content"] == [
        {"type": "tool_use", "id": id, "name": "f", "input": {"x": "é"}} for id in ("c1", "c2")
    ]
    assert turns[2]["content"] == [
        {"type": "tool_result", "tool_use_id": "c1", "content": "1"},
        {"type": "tool_result", "tool_use_id": "c2", "content": "2"},
        {"type": "text", "text": "and?"},
    ]


def test_a_system_message_in_the_middle_has_no_place_there() -> None:
    with pytest.raises(InvalidRequestError, match=r"messages.1.role: .*only at first"):
        for_anthropic([{"role": "user", "content": "x"}, {"role": "system", "content": "y"}])
