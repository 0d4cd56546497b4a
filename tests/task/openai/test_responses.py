"""Bodies of ``/v1/responses``: read strictly, and said again in the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest

from studiolo.errors import InvalidRequestError
from studiolo.task.openai.fields import parse
from studiolo.task.openai.responses import LOGPROBS, ResponseBody, ask, echoed, items

TOOL: dict[str, Any] = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
SCHEMA = {"type": "object", "properties": {"wet": {"type": "boolean"}}}


def body(**fields: Any) -> ResponseBody:
    return parse(ResponseBody, json.dumps({"input": "hello", **fields}).encode())


def test_what_is_asked() -> None:
    asked = ask(
        body(
            instructions="Be kind.",
            max_output_tokens=5,
            temperature=0.5,
            seed=-1,
            top_p=0.9,
            top_k=3,
            include=[LOGPROBS],
            top_logprobs=2,
            tools=[{**TOOL, "strict": True, "description": "of a city"}],
            tool_choice={"type": "function", "name": "weather"},
            parallel_tool_calls=False,
        ),
        "tiny",
        [{"role": "user", "content": "before"}],
    )
    assert [each["content"] for each in asked.messages or ()] == ["Be kind.", "before", "hello"]
    assert dict(asked.options) == {
        "max_tokens": 5, "temperature": 0.5, "seed": 2**63 - 1, "top_p": 0.9, "top_k": 3,
        "log_probs": 2,
    }  # fmt: skip
    assert (asked.model, asked.tool_choice, asked.parallel) == ("tiny", "weather", False)
    (tool,) = asked.tools
    assert tool == {
        "type": "function",
        "function": {
            "name": "weather", "description": "of a city", "strict": True,
            "parameters": {"type": "object"},
        },
    }  # fmt: skip


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ({"type": "text"}, None),
        ({"type": "json_object"}, {"type": "object"}),
        ({"type": "json_schema", "name": "weather", "schema": SCHEMA, "strict": True}, SCHEMA),
    ],
)
def test_formats(written: dict[str, Any], expected: object) -> None:
    asked = body(text={"format": written, "verbosity": "medium"})
    assert ask(asked, "tiny").options.get("json_schema") == expected
    assert echoed(asked)["text"]["format"] == written


def test_what_was_asked_is_said_again() -> None:
    given: dict[str, Any] = {
        "instructions": "Be kind.", "max_output_tokens": 5, "temperature": 0.5, "top_p": 0.9,
        "metadata": {"a": "b"}, "parallel_tool_calls": False, "user": "me", "max_tool_calls": 2,
        "previous_response_id": "resp_1", "truncation": "disabled", "service_tier": "default",
        "background": False, "tool_choice": {"type": "function", "name": "weather"},
        "top_logprobs": 0, "safety_identifier": "x", "prompt_cache_key": "y",
    }  # fmt: skip
    said = echoed(body(**given, tools=[TOOL]))
    assert {name: said[name] for name in given} == given
    assert said["tools"] == [{**TOOL, "strict": None}]
    assert echoed(body())["tool_choice"] == "auto"
    assert echoed(body())["temperature"] is None


def test_input_items_have_ids() -> None:
    (said,) = items(body(), "abc")
    assert said == {
        "type": "message", "role": "user", "id": "msg_abc_in0", "status": "completed",
        "content": [{"type": "input_text", "text": "hello"}],
    }  # fmt: skip
    call = {"type": "function_call", "call_id": "c", "name": "n", "arguments": "{}"}
    found = items(body(input=[{"role": "assistant", "content": "x", "id": "msg_own"}, call]), "abc")
    assert [each["id"] for each in found] == ["msg_own", "fc_abc_in1"]
    assert found[0]["content"] == [{"type": "output_text", "text": "x"}]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"input": []}, "input"),
        ({"input": None}, "input"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_tokens": 5}, "max_tokens"),
        ({"n": 2}, "n"),
        ({"truncation": "auto"}, "truncation"),
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "p"}}, "prompt"),
        ({"reasoning": {"effort": "low"}}, "reasoning.effort"),
        ({"service_tier": "flex"}, "service_tier"),
        ({"stream_options": {"include_obfuscation": True}}, "stream_options.include_obfuscation"),
        ({"include": ["x"]}, "include.0"),
        ({"tools": [{"type": "web_search"}]}, "tools.0.type"),
        ({"tools": [{**TOOL, "function": {}}]}, "tools.0.function"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"text": {"format": {"type": "grammar"}}}, "text.format"),
        ({"text": {"format": {"type": "json_object"}}, "json_schema": {}}, "json_schema"),
        ({"nonsense": 1}, "nonsense"),
    ],
)
def test_what_is_not_supported_is_refused_by_name(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(InvalidRequestError) as wrong:
        ask(body(**fields), "tiny")
    assert wrong.value.field == field
