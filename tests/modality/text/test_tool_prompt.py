from __future__ import annotations

import json
from typing import Any

import pytest

from studiolo.modality.text.tool_prompt import knows_tools, told_in_words
from studiolo.modality.text.tools import HERMES, ToolCall, read_calls

LOOK: dict[str, Any] = {"type": "function", "function": {"name": "look", "parameters": {}}}
NOW: dict[str, Any] = {"type": "function", "function": {"name": "now", "description": "É"}}
SAID = {"role": "user", "content": "Well?"}


def call(name: str, arguments: object) -> dict[str, Any]:
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}


def test_a_conversation_without_tools_is_left_as_it_is() -> None:
    said = [{"role": "system", "content": "Be dry."}, SAID, {"role": "assistant", "content": "So."}]
    assert told_in_words(said, []) == said


@pytest.mark.parametrize(
    ("first", "before"),
    [
        ({"role": "system", "content": "Be dry."}, "Be dry.\n\n"),
        ({"role": "developer", "content": "Be dry."}, "Be dry.\n\n"),
        ({"role": "system", "content": [{"type": "text", "text": "Be"}, {"text": " dry."}]}, None),
        ({"role": "system", "content": ""}, ""),
        (None, ""),
    ],
)
def test_tools_are_offered_where_the_system_speaks(first: Any, before: str | None) -> None:
    said = [SAID] if first is None else [first, SAID]
    told = told_in_words(said, [LOOK, NOW])
    assert [each["role"] for each in told] == [first["role"] if first else "system", "user"]
    head, _, rest = told[0]["content"].partition("You may call")
    assert head == ("Be dry.\n\n" if before is None else before)
    listed = rest.split("<tools>\n")[1].split("\n</tools>")[0].splitlines()
    assert [json.loads(line) for line in listed] == [LOOK, NOW]
    assert "É" in rest
    assert '{"name": <function-name>, "arguments": <arguments as a JSON object>}' in rest
    assert told[1] is SAID


@pytest.mark.parametrize("arguments", [{"q": "né"}, '{"q": "né"}'])
def test_calls_are_written_as_they_are_read(arguments: object) -> None:
    said: list[Any] = [
        SAID,
        {"role": "assistant", "content": "Let me see.", "tool_calls": [call("look", arguments)]},
        {"role": "assistant", "content": None, "tool_calls": [call("now", {}), call("now", {})]},
    ]
    _, first, second = told_in_words(said, [])
    look = ToolCall("look", {"q": "né"})
    assert read_calls(first["content"], HERMES, ["look"]) == ("Let me see.\n", [look])
    assert read_calls(second["content"], HERMES, ["now"]) == ("", [ToolCall("now", {})] * 2)
    assert "tool_calls" not in first
    assert first["role"] == "assistant"


def test_the_results_of_one_turn_are_one_message_of_the_users() -> None:
    said: list[Any] = [
        SAID,
        {"role": "assistant", "content": None, "tool_calls": [call("now", {})]},
        {"role": "tool", "content": "1", "tool_call_id": "a"},
        {"role": "tool", "content": [{"type": "text", "text": "2"}], "tool_call_id": "b"},
        {"role": "user", "content": "And?"},
        {"role": "tool", "content": "3"},
    ]
    told = told_in_words(said, [])
    assert [each["role"] for each in told] == ["user", "assistant", "user", "user", "user"]
    assert told[2]["content"] == (
        "<tool_response>\n1\n</tool_response>\n<tool_response>\n2\n</tool_response>"
    )
    assert told[3:] == [
        {"role": "user", "content": "And?"},
        {"role": "user", "content": "<tool_response>\n3\n</tool_response>"},
    ]


@pytest.mark.parametrize("calls", [5, "now", {"a": 1}, [3], [{}], [{"function": 3}]])
def test_calls_that_are_none_do_no_harm(calls: Any) -> None:
    (told,) = told_in_words([{"role": "assistant", "content": "x", "tool_calls": calls}], [])
    assert told["content"].startswith("x")


@pytest.mark.parametrize(
    ("template", "knows"),
    [(None, False), ("{{ messages }}", False), ("{% if tools %}{{ tools }}{% endif %}", True)],
)
def test_a_template_that_knows_tools_names_them(template: str | None, knows: bool) -> None:
    assert knows_tools(template) is knows
