"""Items of a response: every kind that is known becomes a message, all others are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.task.openai.fields import Body, parse
from studiolo.task.openai.responses_items import Item, conversation


class Items(Body):
    input: list[Item]


CALL: dict[str, Any] = {
    "type": "function_call", "call_id": "call_1", "name": "weather",
    "arguments": '{"city": "Rome"}',
}  # fmt: skip
RESULT = {"type": "function_call_output", "call_id": "call_1", "output": "wet"}
KNOWN = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": {"city": "Rome"}},
}


def messages(*items: dict[str, Any], **options: Any) -> list[Any]:
    read = parse(Items, json.dumps({"input": items}).encode())
    return conversation(read.input, **{"instructions": None, **options})


def test_a_text_is_what_the_user_says() -> None:
    assert conversation("hello", instructions="Be kind.") == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hello"},
    ]


def test_messages_in_every_spelling() -> None:
    found = messages(
        {"role": "developer", "content": "Be kind."},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "he"},
                                                        {"type": "input_text", "text": "llo"}]},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed",
         "content": [{"type": "output_text", "text": "hi", "annotations": [], "logprobs": []},
                     {"type": "refusal", "refusal": " no"}]},
    )  # fmt: skip
    assert found == [
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "hello"},
        {"role": "assistant", "content": "hi no"},
    ]


def test_a_call_is_part_of_what_the_assistant_says() -> None:
    second = {**CALL, "call_id": "call_2"}
    found = messages({"role": "user", "content": "hello"}, CALL, second, RESULT)
    assert found[1:] == [
        {"role": "assistant", "content": None, "tool_calls": [KNOWN, {**KNOWN, "id": "call_2"}]},
        {"role": "tool", "content": "wet", "tool_call_id": "call_1"},
    ]
    said = messages({"role": "assistant", "content": "well"}, CALL)
    assert said == [{"role": "assistant", "content": "well", "tool_calls": [KNOWN]}]


def test_a_result_may_answer_a_call_of_before() -> None:
    before = [{"role": "assistant", "content": None, "tool_calls": [KNOWN]}]
    found = messages(RESULT, before=before, instructions="Be kind.")
    assert [each["role"] for each in found] == ["system", "assistant", "tool"]
    assert before == [{"role": "assistant", "content": None, "tool_calls": [KNOWN]}]
    messages(CALL, before=before)
    assert before[0]["tool_calls"] == [KNOWN]


@pytest.mark.parametrize(
    ("item", "field"),
    [
        (RESULT, "input.0.call_id"),
        ({**CALL, "arguments": "[]"}, "input.0.arguments"),
        ({"type": "item_reference", "id": "msg_1"}, "input.0"),
        ({"type": "reasoning", "summary": []}, "input.0"),
        ({"type": 5}, "input.0"),
        ({"role": "tool", "content": "x"}, "input.0.role"),
        ({"role": "user"}, "input.0.content"),
        ({"role": "user", "content": [{"type": "input_image"}]}, "input.0.content.0"),
        ({"role": "user", "content": "x", "name": "y"}, "input.0.name"),
    ],
)
def test_what_is_wrong_is_named(item: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        messages(item)
    assert wrong.value.field == field
