from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from studiolo.errors import InvalidRequestError
from studiolo.modality.text.tools import (
    FORMATS,
    GEMMA,
    HERMES,
    LLAMA3,
    MISTRAL,
    ToolCall,
    ToolCallReader,
    ToolFormat,
    argument_schemas,
    read_calls,
    tool_format,
    tool_names,
)

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a place",
        "parameters": {
            "type": "object",
            "properties": {
                "place": {"type": "string", "maxLength": 8},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
            },
            "required": ["place"],
            "additionalProperties": False,
        },
    },
}
NOW = {"name": "now"}
TOOLS: list[dict[str, Any]] = [WEATHER, NOW]
NAMES = ["get_weather", "now"]
CALL = ToolCall("get_weather", {"place": "Rome"})
BODY = '{"name": "get_weather", "arguments": {"place": "Rome"}}'
SAME = BODY.replace("arguments", "parameters")


@pytest.mark.parametrize(
    ("form", "text", "shown", "calls"),
    [
        (HERMES, f"<tool_call>\n{BODY}\n</tool_call>", "", [CALL]),
        (HERMES, f"Let me see.<tool_call>{BODY}</tool_call>Done.", "Let me see.Done.", [CALL]),
        (HERMES, f"<tool_call>{BODY}</tool_call>\n" * 2, "", [CALL, CALL]),
        (HERMES, f"<tool_call>{BODY}", "", [CALL]),  # cut short by an end token
        (HERMES, f"<tool_call>{SAME}</tool_call>", "", [CALL]),
        (HERMES, '<tool_call>{"name": "now"}</tool_call>', "", [ToolCall("now", {})]),
        (HERMES, BODY, BODY, []),
        (HERMES, "a < b and <tool_ca", "a < b and <tool_ca", []),
        (HERMES, '<tool_call>{"name": "rm", "arguments": {}}</tool_call>', None, []),
        (HERMES, '<tool_call>{"name": "now", "arguments": 3}</tool_call>', None, []),
        (HERMES, '<tool_call>{"name": ["now"]}</tool_call>', None, []),
        (HERMES, '<tool_call>{"name": "now", "arguments": {"x": NaN}}</tool_call>', None, []),
        (HERMES, "<tool_call>now()</tool_call>", None, []),
        (HERMES, f"<tool_call>[{BODY}]</tool_call>", None, []),
        (HERMES, '<tool_call>{"name": "now", "argum', None, []),
        (HERMES, f"```json\n{BODY}\n```", "", [CALL]),
        (HERMES, f" \n```json\n[{BODY},\n {BODY}]\n``` \n", "", [CALL, CALL]),
        (HERMES, f"```\n{BODY}```", "", [CALL]),
        (HERMES, f"```json\n{BODY}\n", None, []),
        (HERMES, f"```json\n{BODY}\n```\nThis calls it.", None, []),
        (HERMES, f"```json\n{BODY}\n```\n```json\n{BODY}\n```", None, []),
        (HERMES, f"So:\n```json\n{BODY}\n```", None, []),
        (HERMES, f"```python\n{BODY}\n```", None, []),
        (HERMES, f"```json\n{SAME}\n```", None, []),
        (HERMES, '```json\n{"name": "now"}\n```', None, []),
        (HERMES, '```json\n{"name": "now", "arguments": {}, "id": 1}\n```', None, []),
        (HERMES, '```json\n{"name": "rm", "arguments": {}}\n```', None, []),
        (HERMES, f"```json\n[{BODY}, 3]\n```", None, []),
        (HERMES, "```json\n[]\n```", None, []),
        (HERMES, f"```json\n{BODY}\n```\n<tool_call>{BODY}</tool_call>",
         f"```json\n{BODY}\n```\n", [CALL]),
        (HERMES, f'```json\n{{"a": <tool_call>{BODY}</tool_call>', '```json\n{"a": ', [CALL]),
        (HERMES, f"<tool_call>{BODY}</tool_call>```json\n{BODY}\n```",
         f"```json\n{BODY}\n```", [CALL]),
        (LLAMA3, SAME, "", [CALL]),
        (LLAMA3, f"  {SAME}; {BODY}", "", [CALL, CALL]),
        (LLAMA3, f"<|python_tag|>{SAME}", "", [CALL]),
        (LLAMA3, '{"answer": 42}', None, []),
        (LLAMA3, f"I would say {SAME}", None, []),
        (LLAMA3, " \n", None, []),
        (MISTRAL, f"[TOOL_CALLS] [{BODY}, {BODY}]", "", [CALL, CALL]),
        (MISTRAL, f"[{BODY}]", "", [CALL]),
        (MISTRAL, f"[{BODY}, 3]", None, []),
        (MISTRAL, "[1, 2, 3] is a list", None, []),
        (GEMMA, SAME, "", [CALL]),
        (GEMMA, f"```json\n{SAME}\n```", "", [CALL]),
        (GEMMA, f"Of course.\n```tool_code\n{SAME}\n```\nThere.", "Of course.\nThere.", [CALL]),
        (GEMMA, '```json\n{"answer": 42}\n```', None, []),
        (GEMMA, "```python\nprint()\n```", None, []),
    ],
)  # fmt: skip
def test_calls_are_read_and_all_else_is_text(
    form: ToolFormat, text: str, shown: str | None, calls: list[ToolCall]
) -> None:
    """A ``shown`` of None: the text as it was."""
    assert read_calls(text, form, NAMES) == (text if shown is None else shown, calls)
    reader = ToolCallReader(form, set(NAMES))
    pieces = [reader.push(character) for character in text] + [reader.flush()]
    assert "".join(piece for piece, _ in pieces) == (text if shown is None else shown)
    assert [call for _, found in pieces for call in found] == calls


def test_text_is_shown_and_calls_are_given_as_soon_as_they_can_be() -> None:
    reader = ToolCallReader(HERMES, NAMES)
    assert reader.push("Hello <") == ("Hello ", [])
    assert reader.push("b> <tool_") == ("<b> ", [])
    assert reader.push("call>" + BODY[:-1]) == ("", [])
    assert reader.push("}") == ("", [CALL])
    assert reader.push("</tool_call> and") == ("and", [])
    assert reader.flush() == ("", [])


def test_a_block_is_held_back_until_it_is_plain_that_it_is_no_call() -> None:
    reader = ToolCallReader(HERMES, NAMES)
    assert reader.push("```py") == ("```py", [])
    reader = ToolCallReader(HERMES, NAMES)
    assert reader.push('```json\n{"answer": 4') == ("", [])
    assert reader.push("2}") == ('```json\n{"answer": 42}', [])
    assert reader.push("\n```") == ("\n```", [])
    reader = ToolCallReader(HERMES, NAMES)
    assert reader.push(f"```json\n{BODY}\n```\n") == ("", [])
    assert reader.push("So") == (f"```json\n{BODY}\n```\nSo", [])
    reader = ToolCallReader(HERMES, NAMES)
    assert reader.push(f"```json\n{BODY}\n```") == ("", [])
    assert (reader.flush(), reader.settled) == (("", [CALL]), True)


PARTS = [
    *("<tool_call>", "</tool_call>", "<|python_tag|>", "[TOOL_CALLS]", "```json", "```", ";", "\n"),
    *(
        BODY,
        SAME,
        f"[{BODY}]",
        "{",
        "}",
        "[",
        "]",
        '"',
        "\\",
        "<",
        "text",
        " ",
        "é🎉",
        '{"name": "now"}',
    ),
]
TEXTS = st.lists(st.sampled_from(PARTS), max_size=12).map("".join) | st.text(max_size=30)


def test_text_and_calls_come_in_their_order() -> None:
    reader = ToolCallReader(HERMES, NAMES)
    wrapped = f"<tool_call>\n{BODY}\n</tool_call>"
    parts = reader.read(f"one{wrapped}two{wrapped}{wrapped}", last=False)
    assert (parts, reader.settled) == (["one", CALL, "two", CALL, CALL], True)
    assert (reader.read("three<tool_"), reader.settled) == (["three"], False)
    assert reader.read("", last=True) == ["<tool_"]
    reader = ToolCallReader(HERMES, NAMES)
    cut = reader.read(wrapped[:-3], last=True)  # in what closes it
    assert (cut, reader.settled) == ([CALL], True)


@pytest.mark.parametrize("value", ['"\\ud800"', "1e999", "-1e999", "NaN", "Infinity", "1" * 5000])
def test_a_call_that_nobody_could_read_is_text(value: str) -> None:
    text = f'<tool_call>{{"name": "now", "arguments": {{"x": {value}}}}}</tool_call>'
    assert read_calls(text, HERMES, NAMES) == (text, [])


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(FORMATS), TEXTS, st.randoms(use_true_random=False))
@example(HERMES, "<tool_call>" * 3 + BODY, None)
def test_pieces_make_no_difference_and_nothing_is_lost(
    form: ToolFormat, text: str, random: Any
) -> None:
    whole = read_calls(text, form, NAMES)
    reader = ToolCallReader(form, NAMES)
    shown, at = "", 0
    calls: list[ToolCall] = []
    while at < len(text):
        size = 1 if random is None else random.randint(1, 9)
        piece, found = reader.push(text[at : at + size])
        shown, calls, at = shown + piece, calls + found, at + size
    piece, found = reader.flush()
    assert (shown + piece, calls + found) == whole
    if not whole[1]:
        assert whole[0] == text
    rest = iter(text)
    assert all(character in rest for character in whole[0])  # in order, nothing invented
    assert all(call.name in NAMES for call in whole[1])


@pytest.mark.parametrize("form", FORMATS, ids=lambda form: form.name)
def test_a_long_text_takes_time_in_proportion(form: ToolFormat) -> None:
    marker = form.markers[0]
    for unit in (
        f"{marker}{form.opener}",
        marker,
        form.opener,
        f"{marker}{BODY}",
        marker[:-1],
        '"\\',
    ):
        begun = time.process_time()
        text = unit * (200_000 // len(unit))
        read_calls(text, form, NAMES)
        reader = ToolCallReader(form, NAMES)
        for at in range(0, 20_000, 4):
            reader.push(text[at : at + 4])
        reader.flush()
        assert time.process_time() - begun < 3


@pytest.mark.parametrize(
    ("sign", "form"),
    [
        ("{{ '<tool_call>' }}", HERMES),
        ("{{ '[TOOL_CALLS]' }}", MISTRAL),
        ("{{ '<|start_header_id|>' }}", LLAMA3),
        ("{{ '<start_of_turn>' }}", GEMMA),
        ("{{ '<|im_start|>' }}", HERMES),
        (None, HERMES),
    ],
)
def test_the_template_shows_the_format(sign: str | None, form: ToolFormat) -> None:
    assert tool_format(sign) is form


@pytest.mark.parametrize(
    ("tools", "message"),
    [
        ([], "must be a list of at least one tool"),
        ("now", "must be a list of at least one tool"),
        (NOW, "must be a list of at least one tool"),
        ([3], "tool 0 has no name"),
        ([NOW, {"type": "function"}], "tool 1 has no name"),
        ([{"function": 3}], "tool 0 has no name"),
        ([{"name": "a b"}], "tool 0 cannot be called 'a b'"),
        ([NOW, NOW], "tool 1 cannot be called 'now'"),
        ([{"name": "auto"}], "tool 0 cannot be called 'auto'"),
        ([{"name": "a", "parameters": 3}], "the parameters of 'a' are no object's schema"),
        ([{"name": "a", "parameters": {"type": "string"}}], "the parameters of 'a' are no"),
    ],
)
def test_what_is_no_tool_is_refused(tools: Any, message: str) -> None:
    with pytest.raises(InvalidRequestError, match=message) as caught:
        tool_names(tools)
    assert caught.value.field == "tools"


def test_tools_have_names_and_schemas() -> None:
    assert tool_names(TOOLS) == NAMES
    schemas = argument_schemas([*TOOLS, {"name": "a", "parameters": {}}])
    assert schemas["get_weather"] == WEATHER["function"]["parameters"]  # type: ignore[index]
    assert schemas["now"] == {"type": "object", "additionalProperties": False}
    assert schemas["a"] == {"type": "object"}
