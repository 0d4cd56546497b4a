from __future__ import annotations

import json
from typing import Any

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tools import ToolCall
from studiolo.task.asking import Called
from studiolo.task.openai.chat import ChatBody, ask
from studiolo.task.openai.fields import parse
from studiolo.task.openai.messages import choice_of, written_call

USER = {"role": "user", "content": "hello"}
CALL = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": '{"q": "é"}'}}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"default": None}}}


def body(*messages: Any, **fields: Any) -> ChatBody:
    return parse(ChatBody, {"messages": messages or [USER], **fields})


def conversation(*messages: Any) -> list[Any]:
    return list(ask(body(*messages), "m").messages or ())


def test_messages_become_what_templates_know() -> None:
    parts = [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert conversation(
        {"role": "developer", "content": "Be dry."},
        {"role": "system", "content": parts},
        {"role": "user", "content": parts, "name": "Ada"},
        {"role": "assistant", "content": None, "tool_calls": [CALL], "refusal": None},
        {"role": "tool", "content": parts, "tool_call_id": "c1", "name": "look"},
        {"role": "assistant", "content": [], "annotations": [], "audio": None},
    ) == [
        {"role": "system", "content": "Be dry."},
        {"role": "system", "content": "ab"},
        {"role": "user", "content": "ab", "name": "Ada"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{**CALL, "function": {"name": "look", "arguments": {"q": "é"}}}],
        },
        {"role": "tool", "content": "ab", "tool_call_id": "c1", "name": "look"},
        {"role": "assistant", "content": ""},
    ]


@pytest.mark.parametrize(
    ("message", "field", "words"),
    [
        ("hello", "messages.0", "object"),
        ({"content": "x"}, "messages.0", "role"),
        ({"role": "nobody", "content": "x"}, "messages.0", "'user'"),
        ({"role": "user"}, "messages.0.content", "is missing"),
        ({"role": "user", "content": None}, "messages.0.content", "valid string"),
        ({"role": "user", "content": "x", "tool_calls": []}, "messages.0.tool_calls", "no such"),
        (
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:"}}]},
            "messages.0.content.0.type",
            "should be 'text', not 'image_url'",
        ),
        ({"role": "assistant"}, "messages.0.content", "is missing, and there are no tool_calls"),
        ({"role": "assistant", "content": "x", "audio": {"id": "a"}}, "messages.0.audio", "not p"),
        (
            {"role": "assistant", "tool_calls": [{**CALL, "type": "custom"}]},
            "messages.0.tool_calls.0.type",
            "should be 'function'",
        ),
        ({"role": "tool", "content": "x"}, "messages.0.tool_call_id", "is missing"),
    ],
)
def test_a_message_that_is_none_is_named(message: Any, field: str, words: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        conversation(message)
    assert caught.value.field == field
    assert words in caught.value.message


@pytest.mark.parametrize("arguments", ["", "{}"])
def test_no_arguments_are_an_empty_object(arguments: str) -> None:
    call = {**CALL, "function": {"name": "look", "arguments": arguments}}
    (message,) = conversation({"role": "assistant", "tool_calls": [call]})
    assert message["tool_calls"][0]["function"]["arguments"] == {}


@pytest.mark.parametrize("arguments", ["x", "[]", "3", "{", "[" * 100_000])
def test_arguments_are_an_object(arguments: str) -> None:
    call = {**CALL, "function": {"name": "look", "arguments": arguments}}
    with pytest.raises(InvalidRequestError, match="is not a JSON object") as caught:
        conversation({"role": "assistant", "tool_calls": [CALL, call]})
    assert caught.value.field == "messages.0.tool_calls.1.function.arguments"


def test_tools_are_offered_as_they_are() -> None:
    assert ask(body(tools=[TOOL]), "m").tools == (TOOL,)
    strict = {**TOOL, "function": {**TOOL["function"], "strict": True}}  # type: ignore[dict-item]
    assert ask(body(tools=[strict]), "m").tools == (strict,)
    assert ask(body(), "m").tools == ()


def test_a_choice_is_a_word_or_a_name() -> None:
    named = {"type": "function", "function": {"name": "look"}}
    choices = [None, "none", "auto", "required", named]
    read = [choice_of(body(tools=[TOOL], tool_choice=each).tool_choice) for each in choices]
    assert read == ["auto", "none", "auto", "required", "look"]


def test_a_call_is_written_with_its_arguments_as_text() -> None:
    called = Called(0, 0, "call_1", ToolCall("look", {"q": "é", "n": [1]}))
    written = written_call(called)
    assert written == {
        "id": "call_1",
        "type": "function",
        "function": {"name": "look", "arguments": '{"q": "é", "n": [1]}'},
    }
    again = conversation({"role": "assistant", "tool_calls": [written]})
    assert again[0]["tool_calls"][0]["function"]["arguments"] == called.call.arguments
    assert json.loads(json.dumps(written)) == written
